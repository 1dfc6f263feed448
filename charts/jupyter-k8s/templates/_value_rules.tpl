{{/* value-rules.yaml, values -> one line per problem ("\n  - field: value must ..., and what to do"). `values/checks.yaml` calls these first: the
     other checks compute with these values. */}}

{{/* Values at a path, added to `found` of a dict: (list dict "place of value" "its last key" value (list "keys below" ...)). "*": each. */}}
{{- define "jk8s.find" -}}
{{- $state := index . 0 -}}
{{- $place := index . 1 -}}
{{- $value := index . 3 -}}
{{- $path := index . 4 -}}
{{- if not $path -}}
  {{- $_ := set $state "found" (append $state.found (dict "place" (trimPrefix ".components" $place | trimPrefix ".") "key" (index . 2) "value" $value)) -}}
{{- else if kindIs "map" $value -}}
  {{- range $key, $one := $value -}}
    {{- if has (first $path) (list "*" $key) }}{{ include "jk8s.find" (list $state (printf "%s.%s" $place $key) $key $one (rest $path)) }}{{ end -}}
  {{- end -}}
{{- else if and (kindIs "slice" $value) (eq (first $path) "*") -}}
  {{- range $index, $one := $value }}{{ include "jk8s.find" (list $state (printf "%s[%d]" $place $index) "" $one (rest $path)) }}{{ end -}}
{{- end -}}
{{- end }}

{{/* Values at all of these paths, as a JSON list: (list values (list "path" ...)) */}}
{{- define "jk8s.findAll" -}}
{{- $values := index . 0 -}}
{{- $components := pick $values "proxy" "gateway" "portal" "operator" "webhook" "identity" "crds" "uninstall" "tests" -}}
{{- $values = merge (dict "components" $components) $values -}}
{{- $state := dict "found" list -}}
{{- range index . 1 }}{{ include "jk8s.find" (list $state "" "" $values (splitList "." .)) }}{{ end -}}
{{- toJson $state.found -}}
{{- end }}

{{- define "jk8s.formats" -}}
{{- range $rule := (.Files.Get "value-rules.yaml" | fromYaml).formats -}}
  {{- $keys := eq (default "" $rule.checks) "keys" -}}
  {{- range include "jk8s.findAll" (list $.Values $rule.fields) | fromJsonArray -}}
    {{- $text := ternary .key (toString .value) $keys -}}
    {{- $fits := ternary (not (regexMatch (default "" $rule.not) $text)) (regexMatch (default "" $rule.matches) $text) (hasKey $rule "not") -}}
    {{- if and (or $keys .value) (not $fits) }}
  - {{ .place }}: {{ if not $rule.secret }}{{ quote (regexReplaceAll "://[^/@\\s]+@" $text "://…@") }} {{ end }}must {{ $rule.must }}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- end }}

{{- define "jk8s.orders" -}}
{{- range $rule := (.Files.Get "value-rules.yaml" | fromYaml).orders -}}
  {{- range $one := include "jk8s.findAll" (list $.Values $rule.in) | fromJsonArray -}}
    {{- range $index, $less := $rule.order -}}
      {{- range $more := slice $rule.order (int (add1 $index)) -}}
        {{- include "jk8s.order" (list $one $less $more) -}}
      {{- end -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- end }}

{{/* Two amounts, or two maps of amounts, below a value that was found: (list found "path of the smaller one" "path of the larger one") */}}
{{- define "jk8s.order" -}}
{{- $place := (index . 0).place -}}
{{- $state := dict "found" list -}}
{{- range rest . }}{{ include "jk8s.find" (list $state $place . (index $ 0).value (splitList "." .)) }}{{ end -}}
{{- if eq (len $state.found) 2 -}}
  {{- $less := first $state.found -}}
  {{- $more := last $state.found -}}
  {{- if kindIs "map" $less.value -}}
    {{- range $key, $_ := $less.value -}}
      {{- if hasKey (default dict $more.value) $key }}{{ include "jk8s.exceeds" (list (printf "%s.%s" $less.place $key) (get $less.value $key) (printf "%s.%s" $more.place $key) (get $more.value $key)) }}{{ end -}}
    {{- end -}}
  {{- else }}{{ include "jk8s.exceeds" (list $less.place $less.value $more.place $more.value) }}{{ end -}}
{{- end -}}
{{- end }}

{{/* A line if the first amount is larger: (list "place" amount "place" amount) */}}
{{- define "jk8s.exceeds" -}}
{{- $less := index . 1 -}}
{{- $more := index . 3 -}}
{{- if not (or (kindIs "invalid" $less) (kindIs "invalid" $more)) -}}
  {{- if gt (float64 (include "jk8s.amount" $less)) (float64 (include "jk8s.amount" $more)) }}
  - {{ index . 0 }}: {{ include "jk8s.written" $less }} must not be more than {{ include "jk8s.written" $more }} of {{ index . 2 }}: lower it, or raise the other
  {{- end -}}
{{- end -}}
{{- end }}
