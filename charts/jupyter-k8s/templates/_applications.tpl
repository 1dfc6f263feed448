{{/* Templates by name, as YAML: the entries of templates, and those of applications that have no such entry. */}}
{{- define "jk8s.allTemplates" -}}
{{- $all := dict -}}
{{- range $name, $spec := .Values.templates }}{{ if $spec }}{{ $_ := set $all $name $spec }}{{ end }}{{ end -}}
{{- $known := .Files.Get "applications.yaml" | fromYaml -}}
{{- range .Values.applications -}}
  {{- if not (hasKey $all .) -}}
    {{- $spec := deepCopy (default dict $.Values.templates.jupyterlab) -}}
    {{- $_ := set $all . (mergeOverwrite $spec (get $known .).template) -}}
  {{- end -}}
{{- end -}}
{{- toYaml $all -}}
{{- end }}

{{/* Aliases of the images of these applications, as YAML. */}}
{{- define "jk8s.applicationAliases" -}}
{{- $known := .Files.Get "applications.yaml" | fromYaml -}}
{{- $aliases := dict -}}
{{- range .Values.applications }}{{ $image := (get $known .).image }}{{ $_ := set $aliases $image (include "jk8s.image" (list $ $image)) }}{{ end -}}
{{- toYaml $aliases -}}
{{- end }}
