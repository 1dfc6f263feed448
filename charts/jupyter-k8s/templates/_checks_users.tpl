{{/* Namespaces where users cannot work, and groups that would make every user an administrator; one line per problem. */}}
{{- define "jk8s.userProblems" -}}
{{- $root := . -}}
{{- $seen := dict -}}
{{- /* In one namespace, entries are refused as a whole. */ -}}
{{- range $index, $one := ternary list .Values.userNamespaces (eq .Values.scope "Namespace") -}}
  {{- $at := printf "userNamespaces[%d]" $index -}}
  {{- if hasKey $seen $one.name }}
  - {{ $at }}.name: {{ quote $one.name }} is also the name of {{ get $seen $one.name }}: put users and groups of both into one entry
  {{- else if eq $one.name $root.Release.Namespace }}
  - {{ $at }}.name: {{ quote $one.name }} is the namespace of this release itself, which holds its keys: choose another for users
  {{- else if has $one.name $root.Values.operator.forbiddenNamespaces }}
  - {{ $at }}.name: {{ quote $one.name }} is in operator.forbiddenNamespaces, where the operator starts no workspace: leave it out of one of the two
  {{- else if or (hasPrefix "kube-" $one.name) (and (eq $one.name "default") (ne (toString $one.create) "false")) }}
  - {{ $at }}.name: {{ quote $one.name }} is a namespace of the cluster's own, which no release can make: choose another name, which does not begin with kube-
  {{- end -}}
  {{- $_ := set $seen $one.name $at -}}
  {{- if and $one.labels (eq (toString $one.create) "false") }}
  - {{ $at }}.labels: {{ keys $one.labels | sortAlpha | join ", " | quote }} would be set on a namespace that this release does not make (create: false): set them with kubectl label namespace {{ $one.name }}, or leave create out
  {{- end -}}
  {{- if and (kindIs "slice" $one.templates) (not $root.Values.settings.requireTemplate) }}
  - {{ $at }}.templates: {{ join ", " $one.templates | quote }} bounds no user while settings.requireTemplate is false, as a workspace without template has no bounds: set that to true, or leave templates out
  {{- end -}}
  {{- include "jk8s.quotaProblems" (list $at $one.quota) -}}
  {{- $limits := printf "%s.limits" $at -}}
  {{- range $pair := list (list "min" "defaultRequest") (list "min" "default") (list "defaultRequest" "default") (list "defaultRequest" "max") (list "default" "max") (list "min" "max") -}}
    {{- range $name, $_ := default dict (get (default dict $one.limits) (first $pair)) -}}
      {{- include "jk8s.notMoreThan" (list (printf "%s.%s" $limits (first $pair)) (get $one.limits (first $pair)) $name (printf "%s.%s" $limits (last $pair)) (get $one.limits (last $pair)) $name) -}}
    {{- end -}}
  {{- end -}}
  {{- range $field := list "users" "groups" "adminUsers" -}}
  {{- range $number, $name := default list (get $one $field) -}}
    {{- if has $name (list "system:anonymous" "system:unauthenticated") }}
  - {{ $at }}.{{ $field }}[{{ $number }}]: {{ quote $name }} is every client that does not sign in: name users who sign in
    {{- end -}}
  {{- end -}}
  {{- end -}}
  {{- range $number, $group := $one.adminGroups -}}
    {{- if include "jk8s.membersOfSystemGroup" $group }}
  - {{ $at }}.adminGroups[{{ $number }}]: {{ quote $group }} contains {{ include "jk8s.membersOfSystemGroup" $group }}. Its members would administer each other's workspaces: name a group of administrators, and list groups of users in groups
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- $tests := .Values.tests.namespace -}}
{{- if and (not (include "jk8s.inOneNamespace" .)) (or (eq $tests .Release.Namespace) (eq $tests "kube-system")) }}
  - tests.namespace: {{ quote $tests }} has no workspaces, and the webhook is not asked there: choose a namespace for workspaces
{{- end -}}
{{- range $field, $names := dict "manager.authorization.adminGroups" .Values.manager.authorization.adminGroups "administrators.groups" (.Values.administrators).groups -}}
{{- range $number, $group := $names -}}
  {{- if include "jk8s.isOfKubernetes" $group }}
  - {{ $field }}[{{ $number }}]: {{ quote $group }} is a system group{{ with include "jk8s.membersOfSystemGroup" $group }} of {{ . }}{{ end }}. Its members would open every workspace: name a group of administrators
  {{- end -}}
{{- end -}}
{{- end -}}
{{- $groups := concat (default list (.Values.administrators).groups) (default list .Values.manager.authorization.adminGroups) | uniq -}}
{{- if gt (len $groups) 32 }}
  - administrators.groups: {{ len $groups }} groups with those of manager.authorization.adminGroups, and a manager has at most 32: name fewer
{{- end -}}
{{- range $number, $user := (.Values.administrators).users -}}
  {{- if include "jk8s.isOfKubernetes" $user }}
  - administrators.users[{{ $number }}]: {{ quote $user }} is an account of the system, which does not sign in: name a person
  {{- end -}}
{{- end -}}
{{- end }}

{{/* "yes" for names of users and groups that Kubernetes and kubeadm give out themselves, else empty. */}}
{{- define "jk8s.isOfKubernetes" -}}
{{- if or (hasPrefix "system:" .) (hasPrefix "kubeadm:" .) }}yes{{ end -}}
{{- end }}

{{/* The members of a group that Kubernetes fills itself; empty for any other group. */}}
{{- define "jk8s.membersOfSystemGroup" -}}
{{- if eq . "system:authenticated" -}} every user who signs in
{{- else if eq . "system:unauthenticated" -}} every client that does not sign in
{{- else if eq . "system:serviceaccounts" -}} every service account of the cluster
{{- end -}}
{{- end }}

{{/* Templates that teams may use and that this release does not make, with the team; as JSON. */}}
{{- define "jk8s.foreignTemplates" -}}
{{- $made := include "jk8s.templates" . | fromYamlArray -}}
{{- $names := list -}}
{{- range $one := .Values.userNamespaces -}}
  {{- range $one.templates -}}
    {{- if not (has . $made) }}{{ $names = append $names (printf "%s (%s)" . $one.name) }}{{ end -}}
  {{- end -}}
{{- end -}}
{{- toJson $names -}}
{{- end }}
