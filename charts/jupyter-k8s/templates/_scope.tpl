{{/* "true" where this release renders objects of namespaces, else empty. */}}
{{- define "jk8s.rendersNamespaced" -}}
{{- if and .Values.enabled (ne .Values.objects "Cluster") }}true{{ end -}}
{{- end }}

{{/* "true" where this release renders objects of the cluster, else empty. */}}
{{- define "jk8s.rendersClusterWide" -}}
{{- if and .Values.enabled (ne .Values.objects "Namespace") }}true{{ end -}}
{{- end }}

{{/* "true" where nodes pull images in advance, else empty. */}}
{{- define "jk8s.prePulls" -}}
{{- if and (include "jk8s.rendersClusterWide" .) .Values.prePull.enabled }}true{{ end -}}
{{- end }}

{{/* "true" where release and workspaces are in one namespace, else empty. */}}
{{- define "jk8s.inOneNamespace" -}}
{{- if eq .Values.scope "Namespace" }}true{{ end -}}
{{- end }}

{{/* Annotation on managers and templates: the one namespace that they are for. Installations of other namespaces leave them as they are. */}}
{{- define "jk8s.installedFor" -}}
workspaces.jupyter.org/installed-for: {{ .Release.Namespace }}
{{- end }}
