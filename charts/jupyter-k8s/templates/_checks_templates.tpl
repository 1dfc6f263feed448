{{/* What contradicts itself in the templates, one line per problem. The API server refuses the same (the CRD's rules), but when helm
     has made half of the release. */}}
{{- define "jk8s.templateProblems" -}}
{{- $made := include "jk8s.templates" . | fromYamlArray -}}
{{- if and $made .Values.defaultTemplate (not (has .Values.defaultTemplate $made)) }}
  - defaultTemplate: {{ quote .Values.defaultTemplate }} is no entry of templates, and so the default of no workspace: write one of {{ join ", " $made }}, or "" for none
{{- end -}}
{{- range $name, $spec := .Values.templates -}}
  {{- if $spec -}}
    {{- $at := printf "templates.%s" $name -}}
    {{- include "jk8s.requestsBeyondLimits" (list (printf "%s.defaultResources" $at) $spec.defaultResources) -}}
    {{- include "jk8s.boundsOfTemplate" (list $at $spec) -}}
    {{- with $spec.primaryStorage -}}
      {{- $disk := printf "%s.primaryStorage" $at -}}
      {{- include "jk8s.notMoreThan" (list $disk . "minSize" $disk . "maxSize") -}}
      {{- include "jk8s.notMoreThan" (list $disk . "minSize" $disk . "defaultSize") -}}
      {{- include "jk8s.notMoreThan" (list $disk . "defaultSize" $disk . "maxSize") -}}
    {{- end -}}
    {{- include "jk8s.notMoreThan" (list $at $spec "defaultShmSize" $at $spec "maxShmSize") -}}
    {{- $overrides := printf "%s.idleShutdownOverrides" $at -}}
    {{- $idle := printf "%s.defaultIdleShutdown" $at -}}
    {{- $bounds := $spec.idleShutdownOverrides -}}
    {{- include "jk8s.notMoreThan" (list $overrides $bounds "minIdleTimeoutInMinutes" $overrides $bounds "maxIdleTimeoutInMinutes") -}}
    {{- include "jk8s.notMoreThan" (list $overrides $bounds "minIdleTimeoutInMinutes" $idle $spec.defaultIdleShutdown "idleTimeoutInMinutes") -}}
    {{- include "jk8s.notMoreThan" (list $idle $spec.defaultIdleShutdown "idleTimeoutInMinutes" $overrides $bounds "maxIdleTimeoutInMinutes") -}}
    {{- $range := printf "%s.limitBounds.startTimeoutMinutes" $at -}}
    {{- $limits := printf "%s.defaultLimits" $at -}}
    {{- $ends := (default dict $spec.limitBounds).startTimeoutMinutes -}}
    {{- include "jk8s.notMoreThan" (list $range $ends "min" $range $ends "max") -}}
    {{- include "jk8s.notMoreThan" (list $range $ends "min" $limits $spec.defaultLimits "startTimeoutMinutes") -}}
    {{- include "jk8s.notMoreThan" (list $limits $spec.defaultLimits "startTimeoutMinutes" $range $ends "max") -}}
    {{- if and $spec.allowedImages (not $spec.allowCustomImages) (not (has $spec.defaultImage $spec.allowedImages)) }}
  - {{ $at }}.defaultImage: {{ quote $spec.defaultImage }} is not among {{ $at }}.allowedImages: add it there, or choose one of them
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- end }}

{{/* Ranges whose ends cross, and defaults outside of them: (list "templates.name" spec) */}}
{{- define "jk8s.boundsOfTemplate" -}}
{{- $at := printf "%s.resourceBounds" (index . 0) -}}
{{- $defaultsAt := printf "%s.defaultResources" (index . 0) -}}
{{- $defaults := default (dict) (index . 1).defaultResources -}}
{{- $bounds := default (dict) (index . 1).resourceBounds -}}
{{- $ranges := dict -}}
{{- range $name, $range := omit $bounds "resources" -}}{{- $_ := set $ranges (printf "%s.%s" $at $name) (dict "of" $name "range" $range) -}}{{- end -}}
{{- range $name, $range := $bounds.resources -}}{{- $_ := set $ranges (printf "%s.resources.%s" $at $name) (dict "of" $name "range" $range) -}}{{- end -}}
{{- range $field, $one := $ranges -}}
  {{- include "jk8s.notMoreThan" (list $field $one.range "min" $field $one.range "max") -}}
  {{- range $kind := list "requests" "limits" -}}
    {{- $values := default (dict) (get $defaults $kind) -}}
    {{- range $name, $_ := $values -}}
      {{- $isGpu := or (has $name (list "nvidia.com/gpu" "nvidia.com/gpu.shared")) (hasPrefix "nvidia.com/mig-" $name) -}}
      {{- if or (eq $one.of $name) (and (eq $one.of "gpu") $isGpu) -}}
        {{- include "jk8s.notMoreThan" (list $field $one.range "min" (printf "%s.%s" $defaultsAt $kind) $values $name) -}}
        {{- include "jk8s.notMoreThan" (list (printf "%s.%s" $defaultsAt $kind) $values $name $field $one.range "max") -}}
      {{- end -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- end }}

{{/* Names of templates that name a manager which this release does not make, and those managers; as JSON. */}}
{{- define "jk8s.foreignManagers" -}}
{{- $names := list -}}
{{- range $name, $spec := .Values.templates -}}
  {{- if and $spec $spec.managerRef (or (not $.Values.manager.enabled) (ne $spec.managerRef $.Values.manager.name)) -}}
    {{- $names = append $names (printf "%s (%s)" $name $spec.managerRef) -}}
  {{- end -}}
{{- end -}}
{{- toJson $names -}}
{{- end }}
