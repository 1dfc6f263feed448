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

{{/* All providers as JSON, the main one first, with what is put before names of their users and groups. */}}
{{- define "jk8s.allProviders" -}}
{{- $all := list (merge (dict "at" "oidc" "name" "" "issuer" (include "jk8s.issuerUrl" .) "issuerAt" (ternary "identity.host" "oidc.issuerUrl" .Values.identity.enabled)) (omit .Values.oidc "others")) -}}
{{- range $number, $other := .Values.oidc.others -}}
  {{- $at := printf "oidc.others[%d] (%s)" $number $other.name -}}
  {{- $all = append $all (merge (dict "at" $at "issuer" $other.issuerUrl "issuerAt" (printf "%s.issuerUrl" $at)) $other) -}}
{{- end -}}
{{- $providers := list -}}
{{- range $all -}}
  {{- $userPrefix := default "" .usernamePrefix -}}
  {{- if eq $userPrefix "-" -}}
    {{- $userPrefix = "" -}}
  {{- else if and (not $userPrefix) (ne (default "sub" .usernameClaim) "email") -}}
    {{- $userPrefix = printf "%s#" .issuer -}}
  {{- end -}}
  {{- $providers = append $providers (merge (dict "users" $userPrefix "groups" (default "" .groupsPrefix)) .) -}}
{{- end -}}
{{- toJson $providers -}}
{{- end }}
