{{/* Applications that values may offer: image, and what their templates have in place of the fields of templates.jupyterlab. */}}
{{- define "jk8s.applications" -}}
code-editor:
  image: code
  template:
    displayName: VS Code
    description: VS Code in the browser with its own disk, for work in any language.
    defaultImage: code
    appType: code-editor
    # The port accepts connections before the editor does.
    defaultReadinessProbe:
      httpGet: {path: "{workspace.basePath}jupyter-k8s/ready", port: http}
    defaultIdleShutdown:
      detection:
        httpGet: {path: /healthz}
        lastActivityTimestamp: {responseBodyPath: lastHeartbeat, format: unix}
    presentation:
      icon: code
      images:
        - {image: code, displayName: VS Code, description: "With Python, Node and git", icon: code}
jupyterlab-scientific:
  image: scientific
  template:
    displayName: JupyterLab for data
    description: JupyterLab with the usual packages for data and its own disk.
    defaultImage: scientific
    presentation:
      icon: python
      images:
        - {image: scientific, displayName: JupyterLab for data, description: "numpy, pandas, scipy, scikit-learn, matplotlib, dask", icon: python}
jupyterlab-r:
  image: r
  template:
    displayName: JupyterLab with R
    description: JupyterLab with kernels of R and Python and its own disk.
    defaultImage: r
    presentation:
      icon: r
      images:
        - {image: r, displayName: JupyterLab with R, description: "R and Python", icon: r}
{{- end }}

{{/* Templates by name, as YAML: the entries of templates, and those of applications that have no such entry. */}}
{{- define "jk8s.allTemplates" -}}
{{- $all := dict -}}
{{- range $name, $spec := .Values.templates }}{{ if $spec }}{{ $_ := set $all $name $spec }}{{ end }}{{ end -}}
{{- $known := include "jk8s.applications" . | fromYaml -}}
{{- range .Values.applications -}}
  {{- if not (hasKey $all .) -}}
    {{- $spec := deepCopy (default dict $.Values.templates.jupyterlab) -}}
    {{- $own := (get $known .).template -}}
    {{- /* Without idle stop there is nothing to detect. */ -}}
    {{- if not $spec.defaultIdleShutdown }}{{ $own = omit $own "defaultIdleShutdown" }}{{ end -}}
    {{- $_ := set $all . (mergeOverwrite $spec $own) -}}
  {{- end -}}
{{- end -}}
{{- toYaml $all -}}
{{- end }}

{{/* Aliases of these applications' images, as YAML. */}}
{{- define "jk8s.applicationAliases" -}}
{{- $known := include "jk8s.applications" . | fromYaml -}}
{{- $aliases := dict -}}
{{- range .Values.applications }}{{ $image := (get $known .).image }}{{ $_ := set $aliases $image (include "jk8s.image" (list $ $image)) }}{{ end -}}
{{- toYaml $aliases -}}
{{- end }}
