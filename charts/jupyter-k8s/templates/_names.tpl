{{/* Name of a component's objects: (list . "gateway") -> <release>-gateway */}}
{{- define "jk8s.name" -}}
{{- $root := index . 0 -}}
{{ $root.Release.Name }}-{{ index . 1 }}
{{- end }}

{{/* Namespace of the pods that have nodes pull images, and of nothing else. */}}
{{- define "jk8s.imagesNamespace" -}}
{{ include "jk8s.name" (list . "images") }}
{{- end }}

{{/* Name of an object of the cluster: <release>-status, in one namespace <release>-status.<namespace>, so that releases of the same name in
     several namespaces share none. A namespace has no dot, so no two of them give the same name: (list . "status") */}}
{{- define "jk8s.clusterName" -}}
{{ include "jk8s.name" . }}{{ if include "jk8s.inOneNamespace" (index . 0) }}.{{ (index . 0).Release.Namespace }}{{ end }}
{{- end }}

{{/* Labels that select a component's pods; never changed, because selectors are immutable. */}}
{{- define "jk8s.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: jupyter-k8s
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* Labels of a component's pods. */}}
{{- define "jk8s.podLabels" -}}
{{ include "jk8s.selector" . }}
app.kubernetes.io/part-of: jupyter-k8s
{{- with (index . 0).Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Labels of every object of a component. */}}
{{- define "jk8s.labels" -}}
{{- $root := index . 0 -}}
{{ include "jk8s.podLabels" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ $root.Chart.Name }}-{{ $root.Chart.Version }}
{{- end }}

{{/* Metadata of a component's object: (list . "gateway"), or of a further one with what follows its name: (list . "gateway" "-pages") */}}
{{- define "jk8s.metadata" -}}
name: {{ include "jk8s.name" . }}{{ if gt (len .) 2 }}{{ index . 2 }}{{ end }}
namespace: {{ (index . 0).Release.Namespace }}
labels:
  {{- include "jk8s.labels" . | nindent 2 }}
{{- end }}

{{/* Begin of a component's Service, to which its ports are added: (list . "gateway") */}}
{{- define "jk8s.service" -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "jk8s.metadata" . | nindent 2 }}
spec:
  selector:
    {{- include "jk8s.selector" . | nindent 4 }}
  ports:
{{- end }}

{{/* Labels of objects that belong to no single component. */}}
{{- define "jk8s.commonLabels" -}}
app.kubernetes.io/name: jupyter-k8s
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: jupyter-k8s
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Labels with others over them: (list "labels as YAML" others) */}}
{{- define "jk8s.labelsWith" -}}
{{- include "jk8s.over" (list (fromYaml (index . 0)) (index . 1)) | fromJson | toYaml -}}
{{- end }}

{{/* Image reference: (list . "gateway") -> registry/repository:tag, or @digest in place of the tag */}}
{{- define "jk8s.image" -}}
{{- $root := index . 0 -}}
{{- $image := index $root.Values.images (index . 1) -}}
{{ include "jk8s.registry" . }}/{{ $image.repository }}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default $root.Chart.AppVersion }}{{ end }}
{{- end }}

{{/* Registry of an image: (list . "gateway") */}}
{{- define "jk8s.registry" -}}
{{- $values := (index . 0).Values -}}
{{- coalesce (index $values.images (index . 1)).registry $values.image.registry (default dict $values.global).imageRegistry | default "" -}}
{{- end }}

{{/* https://<host>, with the port where browsers need it: (list . "auth.example.org") */}}
{{- define "jk8s.url" -}}
{{- $root := index . 0 -}}
{{- $port := int $root.Values.routing.port -}}
https://{{ index . 1 }}{{ if ne $port 443 }}:{{ $port }}{{ end }}
{{- end }}

{{/* Secret with the certificate of the proxy: given, made by the gateway, or ordered from cert-manager. */}}
{{- define "jk8s.tlsSecretName" -}}
{{- $made := ternary "proxy-self-signed" "proxy-tls" (not (not .Values.proxy.tls.selfSigned)) -}}
{{- .Values.proxy.tls.secretName | default (include "jk8s.name" (list . $made)) -}}
{{- end }}

{{/* What the certificate of the proxy is for. */}}
{{- define "jk8s.certified" -}}
{{- $base := .Values.routing.baseDomain | default "<routing.baseDomain>" -}}
{{- if ne .Values.routing.mode "Path" -}}
{{ printf "*.%s and %s" $base $base }}
{{- else if .Values.portal.enabled -}}
{{ printf "%s, auth.%s and portal.%s" $base $base $base }}
{{- else -}}
{{ printf "%s and auth.%s" $base $base }}
{{- end -}}
{{- if .Values.identity.enabled }}, and {{ .Values.identity.host | default "<identity.host>" }}{{ end -}}
{{- end }}

{{/* Hosts that browsers open, as a YAML list. */}}
{{- define "jk8s.hosts" -}}
- {{ .Values.routing.baseDomain | quote }}
- {{ ternary (include "jk8s.authHost" .) (printf "*.%s" .Values.routing.baseDomain) (eq .Values.routing.mode "Path") | quote }}
{{- if and .Values.portal.enabled (eq .Values.routing.mode "Path") }}
- {{ include "jk8s.portalHost" . | quote }}
{{- end }}
{{- if .Values.identity.enabled }}
- {{ .Values.identity.host | quote }}
{{- end }}
{{- end }}

{{- define "jk8s.authHost" -}}auth.{{ .Values.routing.baseDomain }}{{- end }}

{{- define "jk8s.portalHost" -}}portal.{{ .Values.routing.baseDomain }}{{- end }}

{{/* The issuer: given, or the bundled provider's realm. */}}
{{- define "jk8s.issuerUrl" -}}
{{- if .Values.identity.enabled -}}
{{ include "jk8s.url" (list . .Values.identity.host) }}/realms/jupyter
{{- else -}}
{{ .Values.oidc.issuerUrl }}
{{- end -}}
{{- end }}

{{- define "jk8s.oidcConnectTo" -}}
{{- if .Values.oidc.connectTo -}}
{{ .Values.oidc.connectTo }}
{{- else if .Values.identity.enabled -}}
{{ include "jk8s.name" (list . "proxy") }}.{{ .Release.Namespace }}.svc:{{ .Values.routing.port }}
{{- end -}}
{{- end }}

{{- define "jk8s.oidcSecretName" -}}
{{ .Values.oidc.clientSecretName | default (include "jk8s.name" (list . "oidc")) }}
{{- end }}

{{- define "jk8s.gatewayAddress" -}}
{{ include "jk8s.name" (list . "gateway") }}.{{ .Release.Namespace }}.svc
{{- end }}

{{- define "jk8s.defaultImage" -}}
{{ .Values.settings.defaultImage | default (include "jk8s.image" (list . "application")) }}
{{- end }}

{{/* "true" if the host (second) is the base domain or lies under it, else empty. */}}
{{- define "jk8s.underBaseDomain" -}}
{{- $root := index . 0 -}}
{{- $host := index . 1 | lower -}}
{{- $base := $root.Values.routing.baseDomain -}}
{{- if or (eq $host $base) (hasSuffix (printf ".%s" $base) $host) -}}true{{- end -}}
{{- end }}

{{/* The issuer of the certificate as JSON. Without a kind: an Issuer of that name in the namespace of the release, else a ClusterIssuer. */}}
{{- define "jk8s.issuer" -}}
{{- $issuer := .Values.proxy.tls.certManager.issuerRef -}}
{{- $kind := default "" $issuer.kind -}}
{{- if not $kind -}}
  {{- $kind = "ClusterIssuer" -}}
  {{- if and $issuer.name (.Capabilities.APIVersions.Has "cert-manager.io/v1/Issuer") -}}
    {{- if include "jk8s.lookup" (list "cert-manager.io/v1" "Issuer" .Release.Namespace $issuer.name) | fromJson }}{{ $kind = "Issuer" }}{{ end -}}
  {{- end -}}
{{- end -}}
{{- dict "name" $issuer.name "kind" $kind "group" (default "cert-manager.io" $issuer.group) | toJson -}}
{{- end }}
