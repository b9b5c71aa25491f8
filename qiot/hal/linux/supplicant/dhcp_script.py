"""What a DHCP client runs for each piece of news: udhcpc (its first argument) or dhclient ($reason).

It does all by itself, so that a lease is renewed when the process that started the client has ended.
"""

from __future__ import annotations

from typing import Final

__all__ = ["SCRIPT"]

SCRIPT: Final = r"""#!/bin/sh
# Written by qiot for the DHCP client of __INTERFACE__.
PATH="$PATH:/usr/sbin:/usr/bin:/sbin:/bin"
interface=__INTERFACE__
command -v ip >/dev/null 2>&1 || ip() { busybox ip "$@"; }

names() {
  for server in $dns; do printf 'nameserver %s\n' "$server"; done
}

tell_resolver() {
  [ -n "$dns" ] || return 0
  case __RESOLVER__ in
  resolvconf) names | resolvconf -a "$interface.qiot";;
  resolvectl) resolvectl dns "$interface" $dns;;
  file)
    temporary=$(mktemp /etc/.resolv.conf.XXXXXX) || return 0
    { echo "# Written by qiot for $interface."; names; } >"$temporary" && chmod 644 "$temporary"
    # A container may have mounted something there, which cannot be replaced, only written.
    mv -f "$temporary" /etc/resolv.conf 2>/dev/null || {
      cat "$temporary" >/etc/resolv.conf
      rm -f "$temporary"
    };;
  esac
}

case ${1:-$reason} in
bound | renew | BOUND | RENEW | REBIND | REBOOT)
  address=${ip:-$new_ip_address}
  mask=${mask:-$new_subnet_mask}
  router=${router:-$new_routers}
  dns=${dns:-$new_domain_name_servers}
  for other in $(ip -4 -o address show dev "$interface" | sed -n 's/.* inet \([0-9./]*\).*/\1/p'); do
    [ "${other%/*}" = "$address" ] || ip address del "$other" dev "$interface"
  done
  ip address replace "$address/${mask:-24}" dev "$interface"
  for way in $router; do
    ip route replace default via "$way" dev "$interface"
    break
  done
  tell_resolver
  : >__LEASE__
  ;;
deconfig | EXPIRE | FAIL | RELEASE)
  rm -f __LEASE__
  ip -4 address flush dev "$interface"
  ;;
PREINIT)
  ip link set "$interface" up
  ;;
esac
"""
"""Names in capitals between double underscores are filled in, quoted for the shell."""
