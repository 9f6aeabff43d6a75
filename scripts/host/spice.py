#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""A SPICE client without a screen, on spice-gtk's library: spice.py SOCKET.

It reads commands, "heads N WIDTH HEIGHT", and writes what it sees: "main", "agent", and
"primary CHANNEL WIDTHxHEIGHT".  "draws" is answered with how often something was drawn.
"""
import sys

import gi
gi.require_version("SpiceClientGLib", "2.0")
from gi.repository import GLib, GObject, SpiceClientGLib as Spice

MAX_HEADS = 4
KNOWS_MONITORS = 1 << 1	# VD_AGENT_CAP_MONITORS_CONFIG


class Client:
    def __init__(self, path):
        self.main = None
        self.draws = 0
        self.loop = GLib.MainLoop()
        self.session = Spice.Session()
        self.session.set_property("unix-path", path)
        self.on(self.session, "channel-new", self.new)
        GLib.io_add_watch(sys.stdin, GLib.PRIORITY_DEFAULT, GLib.IO_IN | GLib.IO_HUP, self.command)
        if not self.session.connect():
            sys.exit("spice.py: cannot connect")
        self.loop.run()

    @staticmethod
    def on(source, name, function):
        """connect() of these is Spice's own"""
        GObject.Object.connect(source, name, function)

    @staticmethod
    def say(*what):
        print(*what, flush=True)

    def new(self, _, channel):
        if isinstance(channel, Spice.MainChannel):
            self.main = channel
            self.on(channel, "channel-event", self.event)
            self.on(channel, "main-agent-update", self.agent)
        elif isinstance(channel, Spice.DisplayChannel):
            self.on(channel, "display-primary-create", self.primary)
            self.on(channel, "display-invalidate", self.drawn)
            channel.connect()
        elif isinstance(channel, Spice.CursorChannel):
            channel.connect()

    def event(self, _, event):
        self.say("main" if event == Spice.ChannelEvent.OPENED else f"event {event.value_nick}")
        if event != Spice.ChannelEvent.OPENED:
            self.loop.quit()

    def agent(self, channel):
        if channel.get_property("agent-connected") and channel.get_property("agent-caps-0") & KNOWS_MONITORS:
            self.say("agent")

    def primary(self, channel, _format, width, height, *_):
        self.say("primary", channel.get_property("channel-id"), f"{width}x{height}")

    def drawn(self, *_):
        self.draws += 1

    def heads(self, count, width, height):
        """Side by side"""
        for head in range(MAX_HEADS):
            self.main.update_display_enabled(head, head < count, False)
            if head < count:
                self.main.update_display(head, head * width, 0, width, height, False)
        self.say("sent" if self.main.send_monitor_config() else "not sent")

    def command(self, source, _):
        words = source.readline().split()
        if not words:
            self.loop.quit()
            return False
        if words[0] == "heads":
            self.heads(*map(int, words[1:]))
        elif words[0] == "draws":
            self.say("draws", self.draws)
        return True


if __name__ == "__main__":
    Client(sys.argv[1])
