{{/* "true" where the objects of a cluster can be looked up: `helm template` without `--dry-run=server` finds none. Who installs in one
     namespace may not read the cluster's. */}}
{{- define "jk8s.findsObjects" -}}
{{- if ne .Values.objects "Namespace" -}}
{{- if include "jk8s.lookup" (list "v1" "Namespace" "" "kube-system") | fromJson }}true{{ end -}}
{{- end -}}
{{- end }}

{{/* "true" where the cluster lacks a kind: (list . "cert-manager.io/v1" "Certificate"). Without a cluster, helm knows versions and no kinds, and
     nothing is lacking. `--api-versions` names kinds that will be there. */}}
{{- define "jk8s.lacksKind" -}}
{{- $kinds := (index . 0).Capabilities.APIVersions -}}
{{- if and ($kinds.Has "apps/v1/Deployment") (not ($kinds.Has (printf "%s/%s" (index . 1) (index . 2)))) }}true{{ end -}}
{{- end }}

{{/* Whether this release made a live object: "own", the owner as text, or nothing: (list . object). What kubectl or Argo CD applied has no
     annotations of helm, but the chart's labels. */}}
{{- define "jk8s.ownerOf" -}}
{{- $root := index . 0 -}}
{{- $metadata := default dict (index . 1).metadata -}}
{{- $annotations := default dict $metadata.annotations -}}
{{- $labels := default dict $metadata.labels -}}
{{- $release := get $annotations "meta.helm.sh/release-name" -}}
{{- $namespace := get $annotations "meta.helm.sh/release-namespace" -}}
{{- if and (eq $release $root.Release.Name) (eq $namespace $root.Release.Namespace) -}}
own
{{- else if $release -}}
the release {{ quote $release }} in the namespace {{ quote $namespace }}
{{- else if and (eq (toString (get $labels "app.kubernetes.io/name")) "jupyter-k8s") (eq (toString (get $labels "app.kubernetes.io/instance")) $root.Release.Name) -}}
own
{{- end -}}
{{- end }}
