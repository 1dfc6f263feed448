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
{{- $component := index . 1 -}}
{{- $annotations := gt (len .) 2 | ternary (list (last .)) list -}}
{{- $rules := include (printf "jk8s.%s.rules" $component) $root -}}
{{- $wide := list $rules (include (printf "jk8s.%s.clusterRules" $component) $root) -}}
{{- $own := list (include (printf "jk8s.%s.ownRules" $component) $root) -}}
{{- if include "jk8s.inOneNamespace" $root -}}
{{- $own = prepend $own $rules -}}
{{- else -}}
{{- include "jk8s.role" (concat (list $root $component "ClusterRole" $wide) $annotations) -}}
{{- end -}}
{{- include "jk8s.role" (concat (list $root $component "Role" $own) $annotations) -}}
{{- end }}

{{/* A role with these rules, each a YAML list, and its binding; nothing without rules: (list . "gateway" "Role" rules), for a hook with its
     annotations. */}}
{{- define "jk8s.role" -}}
{{- $root := index . 0 -}}
{{- $kind := index . 2 -}}
{{- with without (index . 3) "" }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}
metadata:
  name: {{ include "jk8s.name" $ }}
  {{- if eq $kind "Role" }}
  namespace: {{ $root.Release.Namespace }}
  {{- end }}
  labels:
    {{- include "jk8s.labels" $ | nindent 4 }}
  {{- if gt (len $) 4 }}
  annotations:
    {{- toYaml (last $) | nindent 4 }}
  {{- end }}
rules:
  {{- join "\n" . | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}Binding
metadata:
  name: {{ include "jk8s.name" $ }}
  {{- if eq $kind "Role" }}
  namespace: {{ $root.Release.Namespace }}
  {{- end }}
  labels:
    {{- include "jk8s.labels" $ | nindent 4 }}
  {{- if gt (len $) 4 }}
  annotations:
    {{- toYaml (last $) | nindent 4 }}
  {{- end }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ $kind }}
  name: {{ include "jk8s.name" $ }}
subjects:
  - kind: ServiceAccount
    name: {{ include "jk8s.accountName" $ }}
    namespace: {{ $root.Release.Namespace }}
{{- end }}
{{- end }}

{{/* A role with these rules in another namespace than the release's, and its binding: (list . "portal" namespace "rules") */}}
{{- define "jk8s.roleIn" -}}
{{- $root := index . 0 -}}
{{- $namespace := index . 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ include "jk8s.name" . }}
  namespace: {{ $namespace }}
  labels:
    {{- include "jk8s.labels" . | nindent 4 }}
rules:
  {{- index . 3 | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ include "jk8s.name" . }}
  namespace: {{ $namespace }}
  labels:
    {{- include "jk8s.labels" . | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ include "jk8s.name" . }}
subjects:
  - kind: ServiceAccount
    name: {{ include "jk8s.accountName" . }}
    namespace: {{ $root.Release.Namespace }}
{{- end }}
