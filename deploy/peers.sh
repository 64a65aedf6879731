#!/usr/bin/env bash
# Installs what the tests compare with and what a package registry of Python does not have: tshark, p0f, Chromium, and a font that can
# show Chinese to it; LibreOffice, which makes PDF of reports, and what reads it; nftables, and the part of systemd that checks units;
# PostgreSQL, and Maven and a Java that fetch and run Kafka (through apt, as root).
set -euo pipefail
wanted=()
command -v tshark >/dev/null || wanted+=(tshark)
[ -x /usr/sbin/p0f ] || command -v p0f >/dev/null || wanted+=(p0f)
command -v chromium >/dev/null || wanted+=(chromium)
command -v nft >/dev/null || wanted+=(nftables)
command -v systemd-analyze >/dev/null || wanted+=(systemd)
fc-list 2>/dev/null | grep -qiE "wqy|noto ?sans ?cjk" || wanted+=(fontconfig fonts-wqy-zenhei)
fc-list 2>/dev/null | grep -qi liberation || wanted+=(fonts-liberation)
command -v soffice >/dev/null || wanted+=(libreoffice-writer-nogui)
command -v pdftotext >/dev/null || wanted+=(poppler-utils)
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || wanted+=(postgresql)
command -v java >/dev/null || wanted+=(openjdk-17-jre-headless)
command -v mvn >/dev/null || wanted+=(maven)
[ "${#wanted[@]}" -gt 0 ] || exit 0
echo "== peers: installing ${wanted[*]}"
if ! command -v apt-get >/dev/null || [ "$(id -u)" -ne 0 ]; then
  echo "error: the tests need ${wanted[*]}; install them with your system's package manager and run this again" >&2
  exit 2
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -qq -y --no-install-recommends "${wanted[@]}" >/dev/null
