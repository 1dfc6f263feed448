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
{{- with .Values.proxy.tls.secretName }}
  Secret {{ . }}: tls.crt, tls.key, a certificate for {{ $hosts }}
{{- end }}
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
{{- if .Values.identity.enabled }}
  Secret {{ .Values.identity.passwordsSecretName | default (include "jk8s.name" (list . "identity")) }}: one password per account ({{ range $i, $a := .Values.identity.accounts }}{{ if $i }}, {{ end }}{{ $a.username }}{{ end }})
{{- end }}
{{- range include "jk8s.pullSecrets" . | fromYamlArray }}
  Secret {{ . }}: .dockerconfigjson, for the images
{{- end }}
{{- end }}

{{/* Secrets that the programs make themselves. */}}
{{- define "jk8s.selfMade" -}}
{{- range list "gateway-ca" "gateway-keys" "proxy-client" "operator-keys" "webhook-cert" }}
  Secret {{ include "jk8s.name" (list $ .) }}
{{- end }}
{{- with .Values.proxy.tls.certManager.issuerRef }}
{{- if .name }}
  Secret {{ include "jk8s.tlsSecretName" $ }}: by cert-manager, from the {{ .kind }} {{ .name }}
{{- end }}
{{- end }}
{{- end }}

{{/* ConfigMaps of this chart in the release's namespace. */}}
{{- define "jk8s.madeMaps" -}}
{{- $names := list "settings" "proxy" "gateway-pages" -}}
{{- if .Values.oidc.others }}{{ $names = append $names "gateway-providers" }}{{ end -}}
{{- if .Values.identity.enabled }}{{ $names = append $names "identity" }}{{ end -}}
{{- if .Values.monitoring.grafanaDashboard.enabled }}{{ $names = append $names "dashboard" }}{{ end -}}
{{- range $names }}
  ConfigMap {{ include "jk8s.name" (list $ .) }}
{{- end }}
  ConfigMap jupyter-k8s-assertion-keys
{{- end }}
