{{/* Parts that are off and that another part needs, one line per problem. */}}
{{- define "jk8s.partProblems" -}}
{{- $cure := "set gateway.enabled to true" -}}
{{- if not .Values.gateway.enabled -}}
{{- if .Values.proxy.enabled }}
  - proxy.enabled: the proxy needs the gateway's decision on every request, and its routes, and gateway.enabled is false: {{ $cure }}, or proxy.enabled to false, too
{{- end -}}
{{- if .Values.manager.enabled }}
  - manager.enabled: users of the chart's WorkspaceManager sign in at the gateway, and gateway.enabled is false: {{ $cure }}, or manager.enabled to false and make a WorkspaceManager of your own
{{- end -}}
{{- end -}}
{{- if .Values.portal.enabled -}}
{{- range $part := list "gateway" "proxy" -}}
{{- if not (get $.Values $part).enabled }}
  - portal.enabled: the portal is reached through the proxy, and the gateway signs its users in, and {{ $part }}.enabled is false: set {{ $part }}.enabled to true, or portal.enabled to false
{{- end -}}
{{- end -}}
{{- if eq .Values.portal.scope "UserNamespaces" -}}
{{- if has .Values.portal.impersonation (list "Any" "Token") }}
  - portal.scope: UserNamespaces limits constrained impersonation alone, and portal.impersonation is {{ .Values.portal.impersonation }}, which holds in the whole cluster: set portal.impersonation to Constrained, or portal.scope to Cluster
{{- else if not .Values.userNamespaces }}
  - portal.scope: the portal would act for no user, because UserNamespaces means those of userNamespaces, which is empty: name namespaces there, or set portal.scope to Cluster
{{- end -}}
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
