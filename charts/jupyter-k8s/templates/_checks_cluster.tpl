{{/* What the objects of the cluster exclude; one line per problem. Without a cluster, as in `helm template`, there are none. */}}
{{- define "jk8s.clusterProblems" -}}
{{- /* Who installs in one namespace may not read what the cluster has, and does not write it. */ -}}
{{- if ne .Values.objects "Namespace" -}}
{{- if .Release.IsInstall -}}
  {{- range (lookup "admissionregistration.k8s.io/v1" "ValidatingAdmissionPolicy" "" "").items -}}
    {{- $labels := default dict .metadata.labels -}}
    {{- $owner := default dict .metadata.annotations -}}
    {{- $release := get $owner "meta.helm.sh/release-name" -}}
    {{- $namespace := get $owner "meta.helm.sh/release-namespace" -}}
    {{- $own := and (eq $release $.Release.Name) (eq $namespace $.Release.Namespace) -}}
    {{- if and (eq (toString (get $labels "app.kubernetes.io/name")) "jupyter-k8s") $release (not $own) (hasSuffix "-status" .metadata.name) }}
  - release: this cluster has {{ quote $release }} in the namespace {{ quote $namespace }} already, and each would stop the other's status writes: upgrade that release, or uninstall it first
    {{- /* An installation in one namespace: <release>-status.<namespace>. */ -}}
    {{- else if and (eq (toString (get $labels "app.kubernetes.io/name")) "jupyter-k8s") (not (include "jk8s.inOneNamespace" $)) (regexMatch "-status\\.[^.]+$" .metadata.name) }}
  - scope: the namespace {{ splitList "." .metadata.name | last | quote }} of this cluster has an installation of its own, and with scope: Cluster both would work on its workspaces: remove that one first (docs/one-namespace.md)
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- if .Capabilities.APIVersions.Has "workspaces.jupyter.org/v1alpha1/WorkspaceTemplate" -}}
  {{- range $name, $spec := .Values.templates -}}
    {{- $live := lookup "workspaces.jupyter.org/v1alpha1" "WorkspaceTemplate" "" $name -}}
    {{- if and $spec $live -}}
      {{- with include "jk8s.difference" (list (printf "templates.%s" $name) (omit $spec "presentation") $live.spec) | trim }}
  - {{ splitList "\n" . | first }}, and the spec of a template, except its presentation, never changes: give the new one another name, such as {{ $name }}-v2, and keep this entry as it is while workspaces use it
      {{- end -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* A line for each field whose value is another in the cluster: (list "path" value live). Only what the chart renders counts: the API server
     may have added defaults. Quantities are compared as amounts. */}}
{{- define "jk8s.difference" -}}
{{- $at := index . 0 -}}
{{- $value := index . 1 -}}
{{- $live := index . 2 -}}
{{- if kindIs "map" $value -}}
  {{- range $key, $inner := $value -}}
    {{- include "jk8s.difference" (list (printf "%s.%s" $at $key) $inner (get (kindIs "map" $live | ternary $live dict) $key)) -}}
  {{- end -}}
{{- else if and (kindIs "slice" $value) (kindIs "slice" $live) (eq (len $value) (len $live)) -}}
  {{- range $index, $inner := $value -}}
    {{- include "jk8s.difference" (list (printf "%s[%d]" $at $index) $inner (index $live $index)) -}}
  {{- end -}}
{{- else if kindIs "slice" $value -}}
  {{- if or $value $live }}
{{ $at }}: has {{ len $value }} entries in place of {{ kindIs "slice" $live | ternary (len (default list $live)) 0 }} in the cluster
  {{- end -}}
{{- else if not (and (empty $value) (empty $live)) -}}
  {{- $amount := "^([0-9]+(\\.[0-9]*)?|\\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$" -}}
  {{- $amounts := and (regexMatch $amount (toString $value)) (regexMatch $amount (toString $live)) -}}
  {{- $same := eq (toString $value) (toString $live) -}}
  {{- if $amounts }}{{ $same = eq (include "jk8s.amount" $value) (include "jk8s.amount" $live) }}{{ end -}}
  {{- if not $same }}
{{ $at }}: {{ toString $value | trunc 80 | quote }} is {{ empty $live | ternary "not set" (toString $live | trunc 80 | quote) }} in the cluster
  {{- end -}}
{{- end -}}
{{- end }}
