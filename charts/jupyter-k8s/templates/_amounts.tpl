{{/* A quantity of Kubernetes as a number in text, such as 0.5 for "500m"; exact up to 15 digits. */}}
{{- define "jk8s.amount" -}}
{{- $text := toString . -}}
{{- $unit := regexFind "[A-Za-z]+$" $text -}}
{{- $units := dict "" 1.0 "n" 0.000000001 "u" 0.000001 "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "E" 1e18
    "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 "Pi" 1125899906842624.0 "Ei" 1152921504606846976.0 -}}
{{- mulf (float64 (trimSuffix $unit $text)) (index $units $unit) -}}
{{- end }}

{{/* "yes" if the quantity (first) is more than the other. */}}
{{- define "jk8s.isMore" -}}
{{- if gt (float64 (include "jk8s.amount" (index . 0))) (float64 (include "jk8s.amount" (index . 1))) }}yes{{ end -}}
{{- end }}

{{/* A line if a quantity is more than another and both are set: (list "field" values "key" "field of the other" values "key") */}}
{{- define "jk8s.notMoreThan" -}}
{{- $values := default (dict) (index . 1) -}}
{{- $others := default (dict) (index . 4) -}}
{{- $value := get $values (index . 2) -}}
{{- $other := get $others (index . 5) -}}
{{- if and (hasKey $values (index . 2)) (hasKey $others (index . 5)) (not (kindIs "invalid" $value)) (not (kindIs "invalid" $other)) -}}
{{- if include "jk8s.isMore" (list $value $other) }}
  - {{ index . 0 }}.{{ index . 2 }}: {{ toString $value | quote }} is more than {{ index . 3 }}.{{ index . 5 }} ({{ toString $other | quote }}): lower the one or raise the other
{{- end -}}
{{- end -}}
{{- end }}

{{/* Requests that are more than their limits: (list "gateway.resources" resources) */}}
{{- define "jk8s.requestsBeyondLimits" -}}
{{- $at := index . 0 -}}
{{- with index . 1 -}}
  {{- $resources := . -}}
  {{- range $name, $_ := .requests -}}
    {{- include "jk8s.notMoreThan" (list (printf "%s.requests" $at) $resources.requests $name (printf "%s.limits" $at) $resources.limits $name) -}}
  {{- end -}}
{{- end -}}
{{- end }}
