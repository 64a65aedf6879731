{{/* icsight.toml of a component: the tables that it needs and no other. */}}

{{- define "icsight.configuration" -}}
{{- $values := .root.Values -}}
[kafka]
bootstrap = {{ $values.kafka.bootstrap | quote }}
prefix = {{ $values.prefix | quote }}
security = "tls"
ca_file = "/run/secrets/kafka/ca.crt"
certificate_file = "/run/secrets/kafka/tls.crt"
key_file = "/run/secrets/kafka/tls.key"
{{- if has .component (list "setup" "collector" "serve") }}

[elasticsearch]
hosts = {{ $values.elasticsearch.hosts | quote }}
prefix = {{ $values.prefix | quote }}
ca_file = "/run/secrets/elasticsearch/ca.crt"
password_file = "/run/secrets/elasticsearch/password"
replicas = {{ $values.elasticsearch.replicas }}
{{- with $values.elasticsearch.retentionDays }}
retention_days = {{ . }}
{{- end }}
{{- end }}
{{- if eq .component "detection" }}

[detection]
state_folder = "/var/lib/icsight/state"
{{- end }}
{{- if has .component (list "collector" "detection") }}

[observability]
# For the probes in the same container.
listen = "127.0.0.1:9464"
{{- end }}
{{- if eq .component "serve" }}

[database]
url = {{ $values.database.url | quote }}
ca_file = "/run/secrets/database/ca.crt"
password_file = "/run/secrets/database/password"
{{- end }}
{{ end -}}
