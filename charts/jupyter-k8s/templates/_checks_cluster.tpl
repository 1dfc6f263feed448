{{/* What the objects of the cluster exclude; one line per problem. Without a cluster, as in `helm template`, there are none. */}}
{{- define "jk8s.clusterProblems" -}}
{{- /* Who installs in one namespace may not read what the cluster has, and does not write it. */ -}}
{{- if ne .Values.objects "Namespace" -}}
{{- if .Release.IsInstall -}}
  {{- range (lookup "admissionregistration.k8s.io/v1" "ValidatingAdmissionPolicy" "" "").items -}}
    {{- $labels := default dict .metadata.labels -}}
    {{- $owner := include "jk8s.ownerOf" (list $ .) -}}
    {{- if and (eq (toString (get $labels "app.kubernetes.io/name")) "jupyter-k8s") (not (has $owner (list "" "own"))) (hasSuffix "-status" .metadata.name) }}
  - release: this cluster has {{ trimPrefix "the release " $owner }} already, and each would stop the other's status writes: upgrade that release, or uninstall it first
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
{{- include "jk8s.takenProblems" . -}}
{{- include "jk8s.definitionProblems" . -}}
{{- include "jk8s.namespaceProblems" . -}}
{{- end -}}
{{- include "jk8s.monitoringProblems" . -}}
{{- end }}

{{/* Managers and templates that are another namespace's, as installations in one namespace annotate them. */}}
{{- define "jk8s.takenProblems" -}}
{{- $names := .Values.manager.enabled | ternary (list (list "WorkspaceManager" .Values.manager.name)) list -}}
{{- range $name, $spec := .Values.templates -}}
  {{- if $spec }}{{ $names = append $names (list "WorkspaceTemplate" $name) }}{{ end -}}
{{- end -}}
{{- range $names -}}
  {{- $kind := first . -}}
  {{- $name := last . -}}
  {{- if $.Capabilities.APIVersions.Has (printf "workspaces.jupyter.org/v1alpha1/%s" $kind) -}}
    {{- $live := include "jk8s.lookup" (list "workspaces.jupyter.org/v1alpha1" $kind "" $name) | fromJson -}}
    {{- $for := get (default dict (default dict $live.metadata).annotations) "workspaces.jupyter.org/installed-for" -}}
    {{- if not (has $for (list "" $.Release.Namespace)) }}
      {{- $other := printf "another name, such as %s-%s" $name $.Release.Namespace }}
      {{- $is := printf "the %s %q of this cluster is for the namespace %q, and this release would change it" $kind $name $for }}
      {{- if eq $kind "WorkspaceManager" }}
  - manager.name: {{ $is }}: choose {{ $other }}
      {{- else }}
  - templates.{{ $name }}: {{ $is }}: set templates.{{ $name }} to null, and give the entry {{ $other }}
      {{- end -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- end }}

{{/* CRDs of this chart's names that are another release's or product's. An installation leaves CRDs that exist as they are, and the Job of the
     CRDs refuses those of another product later. Without that Job this release never writes them. */}}
{{- define "jk8s.definitionProblems" -}}
{{- if include "jk8s.findsObjects" . -}}
{{- range $path, $_ := .Files.Glob "crds/*.yaml" -}}
  {{- $text := $.Files.Get $path -}}
  {{- $name := regexFind "\n  name: \\S+\\.workspaces\\.jupyter\\.org" $text | trim | trimPrefix "name: " -}}
  {{- $kind := regexFind "\n    kind: \\S+" $text | trim | trimPrefix "kind: " -}}
  {{- $live := include "jk8s.lookup" (list "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" $name) | fromJson -}}
  {{- $annotations := default dict (default dict $live.metadata).annotations -}}
  {{- $owner := include "jk8s.ownerOf" (list $ $live) -}}
  {{- $names := default dict (default dict $live.spec).names -}}
  {{- $stored := without (default list (default dict $live.status).storedVersions) "v1alpha1" -}}
  {{- $replace := "replace it as docs/coming-from-jupyter-k8s.md says, or choose another cluster" -}}
  {{- $generator := get $annotations "controller-gen.kubebuilder.io/version" -}}
  {{- if and $.Values.crds.upgrade (not (has $owner (list "" "own"))) }}
  - release: the CustomResourceDefinition {{ quote $name }} of this cluster belongs to {{ $owner }}, and two releases would change it in turns: set crds.upgrade: false, or move the CRDs: annotate them there with helm.sh/resource-policy: keep first, then take them out of that release and remove their annotations meta.helm.sh/release-name and meta.helm.sh/release-namespace
  {{- else if $generator }}
  - release: the CustomResourceDefinition {{ quote $name }} of this cluster belongs to another product (generated by controller-gen {{ $generator }}): {{ $replace }}
  {{- else if and $live (ne (toString $names.kind) $kind) }}
  - release: the CustomResourceDefinition {{ quote $name }} of this cluster belongs to another product (its kind is {{ $names.kind }}, not {{ $kind }}): {{ $replace }}
  {{- else if $stored }}
  - release: the CustomResourceDefinition {{ quote $name }} of this cluster belongs to another product, or to a version that this one cannot read (objects are stored as {{ join ", " $stored }}, and this one serves v1alpha1): install a matching version, or {{ $replace }}
  {{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Namespaces of teams that exist and should not, or the other way round. */}}
{{- define "jk8s.namespaceProblems" -}}
{{- if and (include "jk8s.findsObjects" .) (not (include "jk8s.inOneNamespace" .)) -}}
{{- range $index, $one := .Values.userNamespaces -}}
  {{- $live := include "jk8s.lookup" (list "v1" "Namespace" "" $one.name) | fromJson -}}
  {{- $owner := include "jk8s.ownerOf" (list $ $live) -}}
  {{- if eq (toString $one.create) "false" -}}
    {{- if not $live }}
  - userNamespaces[{{ $index }}].create: false says that the namespace {{ quote $one.name }} exists, and this cluster has none of that name: make it (kubectl create namespace {{ $one.name }}), or leave create out
    {{- end -}}
  {{- else if and $live (ne $owner "own") }}
  - userNamespaces[{{ $index }}].name: the namespace {{ quote $one.name }} exists in this cluster and {{ empty $owner | ternary "was not made by this release" (printf "belongs to %s" $owner) }}: set create: false to use it as it is, or choose another name
  {{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Objects for a monitoring that the cluster does not have. */}}
{{- define "jk8s.monitoringProblems" -}}
{{- if include "jk8s.rendersNamespaced" . -}}
{{- range $key, $kind := dict "podMonitor" "PodMonitor" "prometheusRule" "PrometheusRule" -}}
{{- if and (get $.Values.monitoring $key).enabled (include "jk8s.lacksKind" (list $ "monitoring.coreos.com/v1" $kind)) }}
  - monitoring.{{ $key }}.enabled: this cluster has no kind {{ $kind }} of monitoring.coreos.com/v1: install the Prometheus Operator with its CRDs, or set it to false
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
