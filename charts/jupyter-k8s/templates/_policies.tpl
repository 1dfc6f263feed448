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

{{/* Begin of a ValidatingAdmissionPolicy that fails closed, up to its rules, and its binding before it: (list . "owners") */}}
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
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
{{- end }}

{{/* A rule about these resources of ours, of any scope: (list . "*"). The selector of a binding leaves no object of
     the cluster out. */}}
{{- define "jk8s.anyScope" -}}
- apiGroups: [workspaces.jupyter.org]
  apiVersions: ["*"]
  operations: [CREATE, UPDATE, DELETE]
  resources: [{{ index . 1 | quote }}]
  scope: {{ if include "jk8s.inOneNamespace" (index . 0) }}Namespaced{{ else }}"*"{{ end }}
{{- end }}

{{/* The policy of what an account of ours writes in these kinds, up to its validations: (list . "gateway-writes" "the-gateway" account) */}}
{{- define "jk8s.writesPolicy" -}}
{{ include "jk8s.policy" . }}
      {{- include "jk8s.anyScope" (list (index . 0) "*") | nindent 6 }}
  matchConditions:
    - name: {{ index . 2 }}
      expression: request.userInfo.username == '{{ index . 3 }}'
  variables:
    {{- include "jk8s.celChanges" . | nindent 4 }}
  validations:
{{- end }}

{{/* The policy of what objects of these kinds newly name, up to its own variables: (list . "secrets" "workspaces") */}}
{{- define "jk8s.namesPolicy" -}}
{{ include "jk8s.policy" . }}
      - apiGroups: [workspaces.jupyter.org]
        apiVersions: ["*"]
        operations: [CREATE, UPDATE]
        resources: [{{ index . 2 }}]
  matchConditions:
    {{- include "jk8s.notOurs" (index . 0) | nindent 4 }}
    - name: changed
      expression: {{ include "jk8s.celConcerns" . | quote }}
  variables:
    {{- include "jk8s.celChanges" . | nindent 4 }}
    {{- include "jk8s.celAttested" . | nindent 4 }}
{{- end }}

{{/* Condition: other policies limit our own accounts. */}}
{{- define "jk8s.notOurs" -}}
- name: not-operator-or-gateway
  expression: "!(request.userInfo.username in [{{ include "jk8s.ownAccounts" . }}])"
{{- end }}

{{/* CEL: two maps are the same but for some keys: (list "after" "before" "'a', 'b'") */}}
{{- define "jk8s.celSame" -}}
{{- $after := index . 0 -}}
{{- $before := index . 1 -}}
{{- $but := index . 2 -}}
({{ $after }}.all(key, key in [{{ $but }}] || (key in {{ $before }} && {{ $before }}[key] == {{ $after }}[key]))
&& {{ $before }}.all(key, key in [{{ $but }}] || key in {{ $after }}))
{{- end }}

{{/* Keys of annotations that the product itself keeps on a Workspace (names::RECORDS). */}}
{{- define "jk8s.records" -}}
'workspaces.jupyter.org/created-by', 'workspaces.jupyter.org/assigned-by', 'workspaces.jupyter.org/last-updated-by',
'workspaces.jupyter.org/vouched-template', 'workspaces.jupyter.org/restarted-at', 'workspaces.jupyter.org/started-by',
'workspaces.jupyter.org/stopped-because', 'workspaces.jupyter.org/keep-until'
{{- end }}

{{/* Maximum number of labels, and of annotations beside those of jk8s.records (names::MAX_ANNOTATIONS). Above it, expressions only compare
     whole maps: the API server ends an expression whose cost grows with keys, and with it the request. */}}
{{- define "jk8s.maxKeys" -}}
256
{{- end }}

{{/* CEL: annotations are the same but for some keys: "'a', 'b'" */}}
{{- define "jk8s.celSameAnnotations" -}}
(variables.sameAnnotations || (variables.foreign <= {{ include "jk8s.maxKeys" . }} &&
{{ include "jk8s.celSame" (list "variables.annotations" "variables.oldAnnotations" .) }}))
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
- name: sameAnnotations
  expression: variables.annotations == variables.oldAnnotations
# Annotations that are not the product's. Whatever their number, this costs the same.
- name: foreign
  expression: >-
    variables.annotations.size() - [{{ include "jk8s.records" . | nindent 4 }}].filter(key, key in variables.annotations).size()
- name: labels
  expression: variables.after.metadata.?labels.orValue({})
- name: oldLabels
  expression: variables.before.metadata.?labels.orValue({})
- name: sameLabels
  expression: variables.labels == variables.oldLabels
- name: sameFinalizers
  expression: variables.after.metadata.?finalizers.orValue([]) == variables.before.metadata.?finalizers.orValue([])
- name: sameOwners
  expression: variables.after.metadata.?ownerReferences.orValue([]) == variables.before.metadata.?ownerReferences.orValue([])
{{- end }}
