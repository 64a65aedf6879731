{{/* What the pods of all components have in common: no rights, a read-only file system, secrets as files. */}}

{{- define "icsight.podSecurity" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "icsight.containerSecurity" -}}
image: {{ include "icsight.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  privileged: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{- define "icsight.environment" -}}
- name: ICSIGHT_CONFIG
  value: /etc/icsight/icsight.toml
{{- with (index .root.Values .component).elasticsearchSecret }}
# A name, which is no secret; the password beside it is read from its file.
- name: ICSIGHT_ELASTICSEARCH_USERNAME
  valueFrom: {secretKeyRef: {name: {{ . }}, key: username}}
{{- end }}
{{- end -}}

{{- define "icsight.mounts" -}}
- {name: configuration, mountPath: /etc/icsight, readOnly: true}
- {name: kafka, mountPath: /run/secrets/kafka, readOnly: true}
{{- if (index .root.Values .component).elasticsearchSecret }}
- {name: elasticsearch, mountPath: /run/secrets/elasticsearch, readOnly: true}
{{- end }}
{{- if eq .component "serve" }}
- {name: database, mountPath: /run/secrets/database, readOnly: true}
- {name: tls, mountPath: /run/secrets/tls, readOnly: true}
{{- end }}
- {name: tmp, mountPath: /tmp}
{{- end -}}

{{- define "icsight.volumes" -}}
{{- $own := index .root.Values .component -}}
- name: configuration
  configMap:
    name: {{ include "icsight.name" .root }}-{{ .component }}
- name: kafka
  secret:
    secretName: {{ $own.kafkaSecret }}
    defaultMode: 0440
    items:
      - {key: tls.crt, path: tls.crt}
      - {key: tls.key, path: tls.key}
      - {key: ca.crt, path: ca.crt}
{{- with $own.elasticsearchSecret }}
- name: elasticsearch
  secret:
    secretName: {{ . }}
    defaultMode: 0440
    items:
      - {key: password, path: password}
      - {key: ca.crt, path: ca.crt}
{{- end }}
{{- if eq .component "serve" }}
- name: database
  secret:
    secretName: {{ $own.databaseSecret }}
    defaultMode: 0440
    items:
      - {key: password, path: password}
      - {key: ca.crt, path: ca.crt}
- name: tls
  secret:
    secretName: {{ $own.tlsSecret }}
    defaultMode: 0440
    items:
      - {key: tls.crt, path: tls.crt}
      - {key: tls.key, path: tls.key}
{{- end }}
- name: tmp
  emptyDir: {medium: Memory, sizeLimit: 64Mi}
{{- end -}}

{{/* A question to the address that [observability] gives a process, which only its own container reaches. */}}
{{- define "icsight.own" -}}
exec: {command: [/opt/icsight/bin/python, /opt/icsight/healthy.py, "http://127.0.0.1:9464/{{ . }}"]}
{{- end -}}

{{/* A process that stays: the same pod but for its command, its probes and what it serves. */}}
{{- define "icsight.process" -}}
{{- $own := index .root.Values .component -}}
{{- $labels := dict "root" .root "component" .component -}}
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: {{ include "icsight.name" .root }}-{{ .component }}
  namespace: {{ .root.Release.Namespace }}
  labels: {{- include "icsight.labels" $labels | nindent 4 }}
spec:
  replicas: {{ $own.replicas | default 1 }}
  serviceName: {{ include "icsight.name" .root }}-{{ .component }}
  podManagementPolicy: Parallel
  selector:
    matchLabels: {{- include "icsight.selector" $labels | nindent 6 }}
  template:
    metadata:
      labels: {{- include "icsight.labels" $labels | nindent 8 }}
      annotations:
        checksum/configuration: {{ include "icsight.configuration" $labels | sha256sum }}
        {{- with .root.Values.podAnnotations }}{{ toYaml . | nindent 8 }}{{- end }}
    spec:
      {{- include "icsight.podSecurity" .root | nindent 6 }}
      serviceAccountName: {{ include "icsight.name" .root }}
      terminationGracePeriodSeconds: 60
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels: {{- include "icsight.selector" $labels | nindent 14 }}
      containers:
        - name: {{ .component }}
          {{- include "icsight.containerSecurity" .root | nindent 10 }}
          args: {{- toYaml .arguments | nindent 12 }}
          env:
            {{- include "icsight.environment" $labels | nindent 12 }}
            {{- with .environment }}{{ toYaml . | nindent 12 }}{{- end }}
          {{- with .port }}
          ports:
            - {name: {{ .name }}, containerPort: {{ .number }}}
          {{- end }}
          startupProbe:
            {{- toYaml .alive | nindent 12 }}
            periodSeconds: 3
            timeoutSeconds: 5
            failureThreshold: 60
          livenessProbe:
            {{- toYaml .alive | nindent 12 }}
            periodSeconds: 20
            timeoutSeconds: 5
            failureThreshold: 3
          readinessProbe:
            {{- toYaml .ready | nindent 12 }}
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 3
          resources: {{- toYaml $own.resources | nindent 12 }}
          volumeMounts:
            {{- include "icsight.mounts" $labels | nindent 12 }}
            - {name: state, mountPath: /var/lib/icsight}
      volumes:
        {{- include "icsight.volumes" $labels | nindent 8 }}
  volumeClaimTemplates:
    - metadata:
        name: state
      spec:
        accessModes: [ReadWriteOnce]
        {{- with .root.Values.storageClass }}
        storageClassName: {{ . }}
        {{- end }}
        resources:
          requests: {storage: {{ $own.stateSize }}}
{{- if ne .component "serve" }}
---
# Names the pods; nothing is served by it.
apiVersion: v1
kind: Service
metadata:
  name: {{ include "icsight.name" .root }}-{{ .component }}
  namespace: {{ .root.Release.Namespace }}
  labels: {{- include "icsight.labels" $labels | nindent 4 }}
spec:
  clusterIP: None
  selector: {{- include "icsight.selector" $labels | nindent 4 }}
{{- end }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "icsight.name" .root }}-{{ .component }}
  namespace: {{ .root.Release.Namespace }}
  labels: {{- include "icsight.labels" $labels | nindent 4 }}
spec:
  maxUnavailable: 1
  selector:
    matchLabels: {{- include "icsight.selector" $labels | nindent 6 }}
{{- end -}}
