{{/* Where people find workspaces and sign in, and what DNS must lead where. */}}
{{- define "jk8s.addresses" -}}
{{- if .Values.manager.enabled }}
Workspaces   {{ include "jk8s.workspaceAddress" . }}
{{- end }}
{{- if .Values.gateway.enabled }}
Sign-in      {{ include "jk8s.url" (list . (include "jk8s.authHost" .)) }}/ with {{ include "jk8s.issuerUrl" . }}
{{- range .Values.oidc.others }}, {{ .issuerUrl }}{{ end }}
{{- end }}
{{- if .Values.proxy.enabled }}
DNS          {{ if eq .Values.routing.mode "Path" }}{{ .Values.routing.baseDomain }} and auth.{{ .Values.routing.baseDomain }}{{ else }}*.{{ .Values.routing.baseDomain }}{{ end }} must lead to the Service {{ include "jk8s.name" (list . "proxy") }} ({{ .Values.proxy.service.type }}):
               kubectl get service {{ include "jk8s.name" (list . "proxy") }} -n {{ .Release.Namespace }}
{{- end }}
{{- end }}

{{/* Where people find a workspace: an address with <workspace> and <namespace> left open. */}}
{{- define "jk8s.workspaceAddress" -}}
{{- if eq .Values.routing.mode "Path" -}}
{{ include "jk8s.url" (list . .Values.routing.baseDomain) }}/workspaces/<namespace>/<workspace>/
{{- else -}}
{{ include "jk8s.url" (list . (printf "<workspace>-<hash>.%s" .Values.routing.baseDomain)) }}/
{{- end -}}
{{- end }}

{{/* What somebody else must make before pods start, one line each. */}}
{{- define "jk8s.expected" -}}
{{- $hosts := ternary (printf "%s and auth.%s" .Values.routing.baseDomain .Values.routing.baseDomain) (printf "*.%s" .Values.routing.baseDomain) (eq .Values.routing.mode "Path") -}}
{{- if .Values.identity.enabled }}{{ $hosts = printf "%s, and %s" $hosts .Values.identity.host }}{{ end }}
{{- if .Values.proxy.enabled }}
{{- with .Values.proxy.tls.secretName }}
  Secret {{ . }}: tls.crt, tls.key, a certificate for {{ $hosts }}
{{- end }}
{{- end }}
{{- if .Values.gateway.enabled }}
  Secret {{ include "jk8s.oidcSecretName" . }}: clientSecret, of the client {{ .Values.oidc.clientId }} at the identity provider
{{- with .Values.oidc.caSecretName }}
  Secret {{ . }}: ca.crt, the issuer's certificate authority
{{- end }}
{{- with .Values.oidc.caConfigMapName }}
  ConfigMap {{ . }}: ca.crt, the issuer's certificate authority
{{- end }}
{{- range .Values.oidc.others }}
{{- $of := printf "of the provider %s" .name }}
{{- with .clientSecretName }}
  Secret {{ . }}: clientSecret, {{ $of }}
{{- end }}
{{- with .caSecretName }}
  Secret {{ . }}: ca.crt, {{ $of }}
{{- end }}
{{- with .caConfigMapName }}
  ConfigMap {{ . }}: ca.crt, {{ $of }}
{{- end }}
{{- end }}
{{- with .Values.gateway.pages.logoConfigMap }}
{{- if .name }}
  ConfigMap {{ .name }}: {{ .key }}, the logo
{{- end }}
{{- end }}
{{- end }}
{{- if .Values.identity.enabled }}
  Secret {{ .Values.identity.passwordsSecretName | default (include "jk8s.name" (list . "identity")) }}: one password per account ({{ range $i, $a := .Values.identity.accounts }}{{ if $i }}, {{ end }}{{ $a.username }}{{ end }})
{{- end }}
{{- range include "jk8s.pullSecrets" . | fromYamlArray }}
  Secret {{ . }}: .dockerconfigjson, for the images
{{- end }}
{{- end }}

{{/* Secrets that the programs make themselves. */}}
{{- define "jk8s.selfMade" -}}
{{- range concat (ternary (list "gateway-ca" "gateway-keys" "proxy-client") list .Values.gateway.enabled) (list "operator-keys" "webhook-cert") }}
  Secret {{ include "jk8s.name" (list $ .) }}
{{- end }}
{{- with .Values.proxy.tls.certManager.issuerRef }}
{{- if and $.Values.proxy.enabled .name }}
  Secret {{ include "jk8s.tlsSecretName" $ }}: by cert-manager, from the {{ .kind }} {{ .name }}
{{- end }}
{{- end }}
{{- end }}

{{/* ConfigMaps of this chart in the release's namespace. */}}
{{- define "jk8s.madeMaps" -}}
{{- $names := list "settings" -}}
{{- if .Values.proxy.enabled }}{{ $names = append $names "proxy" }}{{ end -}}
{{- if .Values.gateway.enabled }}{{ $names = append $names "gateway-pages" }}{{ end -}}
{{- if and .Values.gateway.enabled .Values.oidc.others }}{{ $names = append $names "gateway-providers" }}{{ end -}}
{{- if .Values.identity.enabled }}{{ $names = append $names "identity" }}{{ end -}}
{{- if .Values.monitoring.grafanaDashboard.enabled }}{{ $names = append $names "dashboard" }}{{ end -}}
{{- range $names }}
  ConfigMap {{ include "jk8s.name" (list $ .) }}
{{- end }}
{{- if .Values.gateway.enabled }}
  ConfigMap jupyter-k8s-assertion-keys
{{- end }}
{{- end }}
