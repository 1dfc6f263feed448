{{/* What cannot be added to the pods, one line per problem. */}}
{{- define "jk8s.podProblems" -}}
{{- $root := . -}}
{{- $lines := list -}}
{{- $accounts := dict -}}
{{- range $component := splitList " " (include "jk8s.componentsAndJobs" .) -}}
  {{- $c := list $root $component -}}
  {{- $pod := include "jk8s.podValues" $c | fromJson -}}
  {{- $own := include (printf "jk8s.%s.pod" $component) $root | fromYaml -}}
  {{- $at := dict -}}
  {{- range splitList " " (include "jk8s.podKeys" $root) -}}
    {{- $_ := set $at . (printf "%s.%s" (hasKey (get $root.Values $component) . | ternary $component "pods") .) -}}
  {{- end -}}
  {{- $flags := dict -}}
  {{- range $own.container.args }}{{ $_ := set $flags (splitList "=" . | first | lower) true }}{{ end -}}
  {{- range $index, $argument := $pod.extraArgs -}}
    {{- $flag := splitList "=" $argument | first -}}
    {{- if hasKey $flags (lower $flag) -}}
      {{- $lines = append $lines (printf "%s[%d]: the chart itself sets %s for %s: use the value that stands for it, or remove the argument" $at.extraArgs $index $flag $component) -}}
    {{- end -}}
  {{- end -}}
  {{- $taken := list -}}
  {{- range $own.container.env }}{{ $taken = append $taken .name }}{{ end -}}
  {{- range $index, $variable := $pod.extraEnv -}}
    {{- if has $variable.name $taken -}}
      {{- $lines = append $lines (printf "%s[%d].name: %q is set twice for %s: remove one of them; the chart itself sets %s" $at.extraEnv $index $variable.name $component (include "jk8s.namesOf" $own.container.env)) -}}
    {{- end -}}
    {{- $taken = append $taken $variable.name -}}
  {{- end -}}
  {{- $volumes := list -}}
  {{- range $own.spec.volumes }}{{ $volumes = append $volumes .name }}{{ end -}}
  {{- range $index, $volume := $pod.extraVolumes -}}
    {{- if has $volume.name $volumes -}}
      {{- $lines = append $lines (printf "%s[%d].name: %q is the name of another volume of %s: choose another name; those of the chart are %s" $at.extraVolumes $index $volume.name $component (include "jk8s.namesOf" $own.spec.volumes)) -}}
    {{- end -}}
    {{- $volumes = append $volumes $volume.name -}}
  {{- end -}}
  {{- $places := list -}}
  {{- range $own.container.volumeMounts }}{{ $places = append $places .mountPath }}{{ end -}}
  {{- range $index, $mount := $pod.extraVolumeMounts -}}
    {{- $one := printf "%s[%d]" $at.extraVolumeMounts $index -}}
    {{- if not (has $mount.name $volumes) -}}
      {{- $lines = append $lines (printf "%s.name: %s has no volume %q: add it to extraVolumes of %s or pods" $one $component $mount.name $component) -}}
    {{- end -}}
    {{- if has (trimSuffix "/" $mount.mountPath) $places -}}
      {{- $lines = append $lines (printf "%s.mountPath: another volume of %s is at %q: choose another path" $one $component $mount.mountPath) -}}
    {{- end -}}
    {{- $places = append $places (trimSuffix "/" $mount.mountPath) -}}
  {{- end -}}
  {{- $account := include "jk8s.accountName" $c -}}
  {{- if hasKey $accounts $account -}}
    {{- $lines = append $lines (printf "%s.serviceAccount.name: %q is also the account of %s: name another, because rights and policies of the two differ" $component $account (get $accounts $account)) -}}
  {{- else if eq $account "default" -}}
    {{- $lines = append $lines (printf "%s.serviceAccount.name: \"default\" is the account of every pod of the namespace that names none, which would have the rights of %s: name another" $component $component) -}}
  {{- end -}}
  {{- $_ := set $accounts $account $component -}}
{{- end -}}
{{- $labelled := dict "commonLabels" .Values.commonLabels "pods.labels" .Values.pods.labels "proxy.service.labels" .Values.proxy.service.labels -}}
{{- range splitList " " (include "jk8s.componentsAndJobs" .) -}}
  {{- $_ := set $labelled (printf "%s.labels" .) (get (get $root.Values .) "labels") -}}
{{- end -}}
{{- range $index, $one := .Values.userNamespaces -}}
  {{- $_ := set $labelled (printf "userNamespaces[%d].labels" $index) $one.labels -}}
{{- end -}}
{{- range $at, $labels := $labelled -}}
  {{- range $key, $_ := default dict $labels -}}
    {{- if regexMatch "^(app\\.kubernetes\\.io|helm\\.sh|([^/]*\\.)?workspaces\\.jupyter\\.org)/" $key -}}
      {{- $lines = append $lines (printf "%s: %q is a label that the chart sets itself, and by which Services and policies select: choose another key" $at $key) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- if eq (int .Values.webhook.port) 9090 -}}
  {{- $lines = append $lines "webhook.port: 9090 is the port of its metrics: choose another" -}}
{{- end -}}
{{- range uniq $lines }}
  - {{ . }}
{{- end -}}
{{- end }}

{{- define "jk8s.namesOf" -}}
{{- $names := list -}}
{{- range . }}{{ $names = append $names .name }}{{ end -}}
{{- join ", " $names -}}
{{- end }}
