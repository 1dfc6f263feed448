{{/* "true" where this release renders objects of namespaces, else empty. */}}
{{- define "jk8s.rendersNamespaced" -}}
{{- if and .Values.enabled (ne .Values.objects "Cluster") }}true{{ end -}}
{{- end }}

{{/* "true" where this release renders objects of the cluster, else empty. */}}
{{- define "jk8s.rendersClusterWide" -}}
{{- if and .Values.enabled (ne .Values.objects "Namespace") }}true{{ end -}}
{{- end }}

{{/* "true" where release and workspaces are in one namespace, else empty. */}}
{{- define "jk8s.inOneNamespace" -}}
{{- if eq .Values.scope "Namespace" }}true{{ end -}}
{{- end }}

{{/* Annotation on managers and templates: the one namespace that they are for. Installations of other namespaces leave them as they are. */}}
{{- define "jk8s.installedFor" -}}
workspaces.jupyter.org/installed-for: {{ .Release.Namespace }}
{{- end }}

{{/* What cannot be in one namespace, one line per problem. */}}
{{- define "jk8s.scopeProblems" -}}
{{- if include "jk8s.inOneNamespace" . -}}
{{- $all := "set scope to Cluster, or" -}}
{{- if .Values.userNamespaces }}
  - userNamespaces: {{ (first .Values.userNamespaces).name | quote }} is for scope: Cluster, and scope is Namespace: leave userNamespaces empty, and bind the role (docs/one-namespace.md, step 2)
{{- end -}}
{{- with concat (default list (.Values.administrators).users) (default list (.Values.administrators).groups) }}
  - administrators: {{ first . | quote }} would administer all namespaces, and scope is Namespace: leave administrators empty, and bind the role (docs/one-namespace.md, step 2)
{{- end -}}
{{- if not (has .Values.tests.namespace (list "" .Release.Namespace)) }}
  - tests.namespace: {{ quote .Values.tests.namespace }} is another namespace, and scope is Namespace: {{ $all }} leave it empty
{{- end -}}
{{- if .Values.gateway.bearer.enabled }}
  - gateway.bearer.enabled: whose a token is, the API server tells only accounts with rights on the cluster, and scope is Namespace: {{ $all }} gateway.bearer.enabled to false
{{- end -}}
{{- if and .Values.portal.enabled (eq .Values.portal.impersonation "Any") }}
  - portal.impersonation: with Any, users who may create pods in this namespace would administer the cluster, and scope is Namespace: {{ $all }} portal.impersonation to Constrained, Token or Off
{{- end -}}
{{- range $key, $default := dict "enforcement" "Refuse" "port" 9443 "apiServerNetworks" list -}}
{{- $value := get $.Values.webhook $key -}}
{{- if ne (toJson $value) (toJson $default) }}
  - webhook.{{ $key }}: {{ toJson $value }} is for the webhook, which does not run where scope is Namespace: {{ $all }} leave it at {{ toJson $default }}
{{- end -}}
{{- end -}}
{{- else if ne .Values.objects "All" }}
  - objects: {{ .Values.objects }} is a half of an installation in one namespace, and scope is Cluster: set scope to Namespace, or objects to All
{{- end -}}
{{- end }}
