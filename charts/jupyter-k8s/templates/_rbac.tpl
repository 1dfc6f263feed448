{{/* "true" where this release renders roles and bindings of namespaces, else empty. */}}
{{- define "jk8s.grants" -}}
{{- if and (include "jk8s.rendersNamespaced" .) .Values.rbac.create }}true{{ end -}}
{{- end }}

{{/* The same for those of the cluster. */}}
{{- define "jk8s.clusterGrants" -}}
{{- if and (include "jk8s.rendersClusterWide" .) .Values.rbac.create }}true{{ end -}}
{{- end }}

{{/* Roles of a component and their bindings: (list . "gateway"), for a hook with its annotations. "jk8s.<component>.rules" are about kinds in
     namespaces with workspaces, `clusterRules` about kinds of the cluster, `ownRules` about kinds in the release's namespace. In one
     namespace there are no rules about the cluster: "jk8s.catalogReaders" may read templates and managers. */}}
{{- define "jk8s.roles" -}}
{{- $root := index . 0 -}}
{{- $part := printf "jk8s.%s." (index . 1) -}}
{{- $role := include "jk8s.accountRole" (slice . 0 2) | fromJson -}}
{{- if gt (len .) 2 }}{{ $_ := set $role "annotations" (last .) }}{{ end -}}
{{- $wide := list (include (print $part "rules") $root) (include (print $part "clusterRules") $root) -}}
{{- $own := list (include (print $part "ownRules") $root) -}}
{{- if include "jk8s.inOneNamespace" $root -}}
{{- $own = prepend $own (first $wide) -}}
{{- else -}}
{{- with without $wide "" }}{{ include "jk8s.role" (merge (dict "rules" (join "\n" .)) $role) }}{{ end -}}
{{- end -}}
{{- with without $own "" }}{{ include "jk8s.role" (merge (dict "rules" (join "\n" .) "namespace" $root.Release.Namespace) $role) }}{{ end -}}
{{- end }}

{{/* What roles of a component's account have in common, as JSON: (list . "gateway") */}}
{{- define "jk8s.accountRole" -}}
{{- $account := dict "kind" "ServiceAccount" "name" (include "jk8s.accountName" .) "namespace" (index . 0).Release.Namespace -}}
{{- dict "name" (include "jk8s.name" .) "labels" (include "jk8s.labels" .) "subjects" (list $account) | toJson -}}
{{- end }}

{{/* A role and its binding: a dict with name, labels and rules as YAML, subjects; of a Role also its namespace, of a hook its annotations. */}}
{{- define "jk8s.role" }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ empty .namespace | ternary "ClusterRole" "Role" }}
metadata:
  {{- include "jk8s.roleMetadata" . | nindent 2 }}
rules:
  {{- .rules | nindent 2 }}
{{- include "jk8s.roleBinding" . }}
{{- end }}

{{/* The binding alone; `kind` is that of the role, if it is not the binding's own. */}}
{{- define "jk8s.roleBinding" }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ empty .namespace | ternary "ClusterRole" "Role" }}Binding
metadata:
  {{- include "jk8s.roleMetadata" . | nindent 2 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ .kind | default (empty .namespace | ternary "ClusterRole" "Role") }}
  name: {{ .name }}
subjects:
  {{- toYaml .subjects | nindent 2 }}
{{- end }}

{{- define "jk8s.roleMetadata" -}}
name: {{ .name }}
{{- with .namespace }}
namespace: {{ . }}
{{- end }}
labels:
  {{- .labels | nindent 2 }}
{{- with .annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
