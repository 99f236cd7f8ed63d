{{/* An image's whole name: (dict "root" $ "image" .Values.images.agent) */}}
{{- define "remora.image" -}}
{{- $name := .image.repository -}}
{{- with .root.Values.images.registry }}{{ $name = printf "%s/%s" (trimSuffix "/" .) $name }}{{ end -}}
{{- if .image.digest -}}
{{ printf "%s@%s" $name .image.digest }}
{{- else -}}
{{ printf "%s:%s" $name (.image.tag | default .root.Chart.AppVersion) }}
{{- end -}}
{{- end -}}

{{/* Labels of every object: (dict "root" $ "part" "agent") */}}
{{- define "remora.labels" -}}
app.kubernetes.io/name: remora-{{ .part }}
app.kubernetes.io/part-of: remora
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* How many replicas: (dict "root" $ "of" .Values.agent) */}}
{{- define "remora.replicas" -}}
{{- if .of.replicas }}{{ .of.replicas }}{{ else if .root.Values.ha }}2{{ else }}1{{ end -}}
{{- end -}}

{{/* Where the proxies of new pods are. Values that an older release had, and that --reuse-values
takes as they are, know no mode. */}}
{{- define "remora.mode" -}}
{{ .Values.mode | default "sidecar" }}
{{- end -}}

{{/* Whether there are proxies on nodes; empty if not. */}}
{{- define "remora.onNodes" -}}
{{- if eq (include "remora.mode" .) "node" -}}
{{- if not .Values.node }}{{ fail "mode node needs the values under node, which those of an older release lack: upgrade with --reset-then-reuse-values" }}{{ end -}}
true
{{- else if (.Values.node).keep -}}
true
{{- end -}}
{{- end -}}

{{/* Where pods go: (dict "root" $ "of" .Values.agent "part" "agent") */}}
{{- define "remora.place" -}}
serviceAccountName: remora-{{ .part }}
{{- with .of.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .root.Values.images.pullSecrets }}
imagePullSecrets:
{{- range . }}
- name: {{ . }}
{{- end }}
{{- end }}
{{- with .of.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .of.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Where the pods of a Deployment go, and as whom: (dict "root" $ "of" .Values.agent "part" "agent") */}}
{{- define "remora.pod" -}}
{{ include "remora.place" . }}
{{- if gt (int (include "remora.replicas" .)) 1 }}
topologySpreadConstraints:
{{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
- maxSkew: 1
  topologyKey: {{ . }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels: {app.kubernetes.io/name: remora-{{ $.part }}}
{{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 16007
  runAsGroup: 16007
  seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "remora.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* Where sidecars reach the agent. */}}
{{- define "remora.agentUrl" -}}
https://remora-agent.{{ .Release.Namespace }}.svc:16010
{{- end -}}

{{/* What both containers of a node's pod find, in the same places: files name files. */}}
{{- define "remora.nodeMounts" -}}
- {name: endpoints, mountPath: /run/remora/endpoints}
- {name: snapshots, mountPath: /run/remora/snapshots}
- {name: remora-ca, mountPath: /run/remora/ca, readOnly: true}
- {name: remora-token, mountPath: /run/remora/token, readOnly: true}
{{- end -}}

{{- define "remora.tlsSecret" -}}
{{- if eq .Values.certificates.mode "provided" -}}
{{ required "certificates.secretName is needed with certificates.mode provided" .Values.certificates.secretName }}
{{- else -}}
remora-injector-tls
{{- end -}}
{{- end -}}

{{/* Namespaces in which nothing is injected, as items of a list. */}}
{{- define "remora.exempt" -}}
{{- $all := concat (list "kube-node-lease" "kube-public" "kube-system" .Release.Namespace) .Values.injector.exemptNamespaces -}}
{{ toJson (uniq $all) }}
{{- end -}}

{{/* Images that pods may carry: this release's, those that the last one allowed, and the values'.
     (dict "root" $ "image" .Values.images.init "key" "initImages" "more" list) */}}
{{- define "remora.allowedImages" -}}
{{- $all := list (include "remora.image" .) -}}
{{- $before := lookup "v1" "ConfigMap" .root.Release.Namespace "remora-pods" -}}
{{- if $before }}{{ $all = concat $all (splitList "," (get $before.data .key)) }}{{ end -}}
{{- $kept := list -}}
{{- range $at, $image := uniq $all }}{{ if lt $at 3 }}{{ $kept = append $kept $image }}{{ end }}{{ end -}}
{{ join "," (uniq (concat $kept .more)) }}
{{- end -}}

{{/* The pod of a hook: it runs a command of the injector once. */}}
{{- define "remora.hookPod" -}}
{{ include "remora.pod" . }}
restartPolicy: Never
containers:
- name: {{ .part }}
  image: {{ include "remora.image" (dict "root" .root "image" .root.Values.images.injector) }}
  imagePullPolicy: {{ .root.Values.images.pullPolicy }}
  args: [{{ .part }}]
  resources:
    requests: {cpu: 10m, memory: 16Mi}
    limits: {memory: 64Mi}
  securityContext:
    {{- include "remora.containerSecurity" . | nindent 4 }}
{{- end -}}
