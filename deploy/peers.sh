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
# Read to the end: a program that is cut off by grep -q would count as failed.
fc-list 2>/dev/null | grep -iE "wqy|noto ?sans ?cjk" >/dev/null || wanted+=(fontconfig fonts-wqy-zenhei)
fc-list 2>/dev/null | grep -i liberation >/dev/null || wanted+=(fonts-liberation)
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
