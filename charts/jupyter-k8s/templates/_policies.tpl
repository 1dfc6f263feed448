{{/* User name of a component's account: (list . "gateway") */}}
{{- define "jk8s.account" -}}
system:serviceaccount:{{ (index . 0).Release.Namespace }}:{{ include "jk8s.accountName" . }}
{{- end }}

{{/* CEL: user names of the accounts that policies of their own bound, with commas. */}}
{{- define "jk8s.ownAccounts" -}}
{{- $accounts := list (include "jk8s.account" (list . "operator")) -}}
{{- if .Values.gateway.enabled }}{{ $accounts = append $accounts (include "jk8s.account" (list . "gateway")) }}{{ end -}}
{{- include "jk8s.celStrings" $accounts -}}
{{- end }}

{{/* Begin of a ValidatingAdmissionPolicy that fails closed, and its binding before it: (list . "owners") */}}
{{- define "jk8s.policy" -}}
{{- $root := index . 0 -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ include "jk8s.clusterName" . }}
  labels:
    {{- include "jk8s.commonLabels" $root | nindent 4 }}
spec:
  policyName: {{ include "jk8s.clusterName" . }}
  validationActions: [Deny]
  {{- if include "jk8s.inOneNamespace" $root }}
  matchResources:
    namespaceSelector:
      matchLabels: {kubernetes.io/metadata.name: {{ $root.Release.Namespace }}}
  {{- end }}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  name: {{ include "jk8s.clusterName" . }}
  labels:
    {{- include "jk8s.commonLabels" $root | nindent 4 }}
{{- end }}

{{/* Scope of a rule about kinds of any scope. The selector of a binding leaves no object of the cluster out. */}}
{{- define "jk8s.ruleScope" -}}
{{ if include "jk8s.inOneNamespace" . }}Namespaced{{ else }}"*"{{ end }}
{{- end }}

{{/* CEL: two maps are the same but for some keys: (list "after" "before" "'a', 'b'") */}}
{{- define "jk8s.celSame" -}}
{{- $after := index . 0 -}}
{{- $before := index . 1 -}}
{{- $but := index . 2 -}}
({{ $after }}.all(key, key in [{{ $but }}] || (key in {{ $before }} && {{ $before }}[key] == {{ $after }}[key]))
&& {{ $before }}.all(key, key in [{{ $but }}] || key in {{ $after }}))
{{- end }}

{{/* CEL: whether the requester holds a verb on an object of the request's namespace: (list "group" "resource" "name" "verb") */}}
{{- define "jk8s.celMay" -}}
authorizer.group('{{ index . 0 }}').resource('{{ index . 1 }}').namespace(request.namespace).name({{ index . 2 }}).check('{{ index . 3 }}').allowed()
{{- end }}

{{/* Variables with spec and metadata before and after. At a deletion both are what is stored, at a creation nothing is before. */}}
{{- define "jk8s.celChanges" -}}
- name: after
  expression: "request.operation == 'DELETE' ? dyn(oldObject) : dyn(object)"
- name: before
  expression: "request.operation == 'CREATE' ? dyn({'metadata': {}, 'spec': {}}) : dyn(oldObject)"
- name: spec
  expression: variables.after.?spec.orValue({})
- name: oldSpec
  expression: variables.before.?spec.orValue({})
- name: annotations
  expression: variables.after.metadata.?annotations.orValue({})
- name: oldAnnotations
  expression: variables.before.metadata.?annotations.orValue({})
- name: labels
  expression: variables.after.metadata.?labels.orValue({})
- name: oldLabels
  expression: variables.before.metadata.?labels.orValue({})
- name: sameFinalizers
  expression: variables.after.metadata.?finalizers.orValue([]) == variables.before.metadata.?finalizers.orValue([])
- name: sameOwners
  expression: variables.after.metadata.?ownerReferences.orValue([]) == variables.before.metadata.?ownerReferences.orValue([])
{{- end }}
