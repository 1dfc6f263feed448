{{/* Further identity providers as the gateway reads them: oidc.others, with paths in place of the names of Secrets and ConfigMaps. */}}
{{- define "jk8s.providers" -}}
{{- $list := list -}}
{{- range .Values.oidc.others -}}
  {{- $entry := omit . "clientSecretName" "caSecretName" "caConfigMapName" -}}
  {{- if .clientSecretName }}{{ $entry = set $entry "clientSecretFile" (printf "/etc/oidc-others/%s/clientSecret" .name) }}{{ end -}}
  {{- if or .caSecretName .caConfigMapName }}{{ $entry = set $entry "caFile" (printf "/etc/oidc-others/%s/ca.crt" .name) }}{{ end -}}
  {{- $list = append $list $entry -}}
{{- end -}}
{{ toJson $list }}
{{- end }}
