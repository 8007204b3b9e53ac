#!/usr/bin/env perl
use strict; use warnings; use IO::Handle;
open(my $out, '>&', \*STDOUT) or die; open(STDOUT, '>&', \*STDERR) or die;    # a stray print goes to the log
binmode STDIN; binmode $out; $out->autoflush(1);
print $out "READY 0 0 0\n";
while (my $head = <STDIN>) {
	my ($kind, $id, $m, $b) = split ' ', $head;
	read(STDIN, my $meta, $m); read(STDIN, my $body, $b);
	print $out "RES $id 0 ", $b + 8, "\nHello, $body!" if $kind eq 'REQ';
}
