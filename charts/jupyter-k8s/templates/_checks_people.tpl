{{/* Namespaces that are nobody's to work in, and groups that would make everybody an administrator; one line per problem. */}}
{{- define "jk8s.peopleProblems" -}}
{{- $root := . -}}
{{- $seen := dict -}}
{{- range $index, $one := .Values.userNamespaces -}}
  {{- $at := printf "userNamespaces[%d]" $index -}}
  {{- if hasKey $seen $one.name }}
  - {{ $at }}.name: {{ quote $one.name }} is also the name of {{ get $seen $one.name }}: put users and groups of both into one entry
  {{- else if eq $one.name $root.Release.Namespace }}
  - {{ $at }}.name: {{ quote $one.name }} is the namespace of this release itself, which holds its keys: choose another for people
  {{- else if or (hasPrefix "kube-" $one.name) (eq $one.name "default") }}
  - {{ $at }}.name: {{ quote $one.name }} is a namespace of the cluster's own, which no release can make: choose another name, which does not begin with kube-
  {{- end -}}
  {{- $_ := set $seen $one.name $at -}}
  {{- range $number, $group := $one.adminGroups -}}
    {{- if include "jk8s.isEverybody" $group }}
  - {{ $at }}.adminGroups[{{ $number }}]: {{ quote $group }} is everybody{{ include "jk8s.isEverybody" $group }}, who would administer each other's workspaces: name a group of administrators; who may work there goes into groups
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- range $number, $group := .Values.manager.authorization.adminGroups -}}
  {{- if hasPrefix "system:" $group }}
  - manager.authorization.adminGroups[{{ $number }}]: {{ quote $group }} is a group of the system{{ with include "jk8s.isEverybody" $group }}, everybody{{ . }}{{ end }}, whose members would open every workspace: name a group of people
  {{- end -}}
{{- end -}}
{{- end }}

{{/* Who is in a group that no administrator has put anybody into; nothing for any other group. */}}
{{- define "jk8s.isEverybody" -}}
{{- if eq . "system:authenticated" }} who signs in
{{- else if eq . "system:unauthenticated" }} who does not sign in
{{- else if eq . "system:serviceaccounts" }} in a pod, as every service account of the cluster is in it
{{- end -}}
{{- end }}
