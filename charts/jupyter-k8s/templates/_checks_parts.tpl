{{/* Parts that are off and that another part needs, one line per problem. */}}
{{- define "jk8s.partProblems" -}}
{{- $cure := "set gateway.enabled to true" -}}
{{- if not .Values.gateway.enabled -}}
{{- if .Values.proxy.enabled }}
  - proxy.enabled: the proxy asks the gateway about every request and has its routes from there, and gateway.enabled is false: {{ $cure }}, or proxy.enabled to false, too
{{- end -}}
{{- if .Values.manager.enabled }}
  - manager.enabled: users of the chart's WorkspaceManager sign in at the gateway, and gateway.enabled is false: {{ $cure }}, or manager.enabled to false and make a WorkspaceManager of your own
{{- end -}}
{{- end -}}
{{- if .Values.identity.enabled -}}
{{- range $part := list "gateway" "proxy" -}}
{{- if not (get $.Values $part).enabled }}
  - identity.enabled: the bundled identity provider needs the {{ $part }}, and {{ $part }}.enabled is false: set {{ $part }}.enabled to true, or identity.enabled to false
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}
