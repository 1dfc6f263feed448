{{/* One line per text of the values that does not look as formats.yaml has it. */}}
{{- define "jk8s.formats" -}}
{{- $values := .Values -}}
{{- range .Files.Get "formats.yaml" | fromYamlArray -}}
  {{- $format := . -}}
  {{- range $optional, $fields := dict "" .fields "yes" .optional -}}
    {{- range $fields -}}
      {{- include "jk8s.formatAt" (dict "value" $values "path" (splitList "." .) "shown" "" "format" $format "optional" $optional) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- end }}

{{/* Lines about what lies at `path` below `value`: (dict "value" "path" "shown" "format" "optional") */}}
{{- define "jk8s.formatAt" -}}
{{- $here := . -}}
{{- if not .path -}}
  {{- if and (kindIs "string" .value) (not (regexMatch .format.pattern .value)) (or .value (not .optional)) }}
  - {{ .shown }}: {{ ternary "the value" (.value | trunc 80 | quote) (default false .format.hidden) }} {{ .format.rule }}
  {{- end -}}
{{- else -}}
  {{- $first := first .path -}}
  {{- $next := dict "path" (rest .path) "format" .format "optional" .optional -}}
  {{- if and (eq $first "@keys") (kindIs "map" .value) -}}
    {{- range $key, $_ := .value -}}
      {{- include "jk8s.formatAt" (merge (dict "value" $key "shown" $here.shown) $next) -}}
    {{- end -}}
  {{- else if and (eq $first "*") (kindIs "map" .value) -}}
    {{- range $key, $value := .value -}}
      {{- include "jk8s.formatAt" (merge (dict "value" $value "shown" (printf "%s.%s" $here.shown $key)) $next) -}}
    {{- end -}}
  {{- else if and (eq $first "*") (kindIs "slice" .value) -}}
    {{- range $index, $value := .value -}}
      {{- include "jk8s.formatAt" (merge (dict "value" $value "shown" (printf "%s[%d]" $here.shown $index)) $next) -}}
    {{- end -}}
  {{- else if kindIs "map" .value -}}
    {{- range splitList "|" $first -}}
      {{- if hasKey $here.value . -}}
        {{- include "jk8s.formatAt" (merge (dict "value" (index $here.value .) "shown" (trimPrefix "." (printf "%s.%s" $here.shown .))) $next) -}}
      {{- end -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- end }}
