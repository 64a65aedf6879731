{{/* What one component may reach: names, and the services that it is configured for. */}}
{{- define "icsight.egress" -}}
{{- $values := .root.Values -}}
- to: {{- toYaml $values.networkPolicy.dns | nindent 4 }}
  ports:
    - {protocol: UDP, port: 53}
    - {protocol: TCP, port: 53}
{{- $reached := list $values.kafka -}}
{{- if ne .component "detection" }}{{ $reached = append $reached $values.elasticsearch }}{{ end -}}
{{- if eq .component "serve" }}{{ $reached = append $reached $values.database }}{{ end -}}
{{- range $reached }}
- to: {{- toYaml .peers | nindent 4 }}
  ports:
    {{- range .ports }}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
{{- end }}
{{- end -}}
