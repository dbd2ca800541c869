// SPDX-License-Identifier: Apache-2.0

import Glibc
import Metadata
import Primitives

let usage = """
    USAGE: bsrmeta [OPTION]... DEVICE FORMAT META-DEVICE INDEX COMMAND [ARGUMENT]...

      DEVICE       minor number, or - for none
      FORMAT       v09, v08
      META-DEVICE  block device or regular file
      INDEX        internal, flex-external, or a number from 0 to 255

    COMMANDS
      create-md [MAX_PEERS]   write fresh meta data; v09 needs the number of peers, 1 to 31
      dump-md                 print meta data as text
      restore-md FILE         write meta data from such a text
      verify-dump FILE        check such a text
      apply-al                mark what the activity log says was written last
      get-gi, show-gi         print generations towards a peer (--node-id)
      set-gi GENERATIONS      change them
      outdate, invalidate     give up that the data is the newest, that it is worth anything
      dstate                  print the state of the disk
      read-dev-uuid, write-dev-uuid UUID
      forget-peer             free the bitmap slot of a peer (--node-id)
      check-resize            move internal meta data to the end of a device that has grown
      wipe-md                 remove meta data

    OPTIONS
      -f, --force             answer every question with yes
          --ignore-sanity-checks
          --node-id ID        0 to 31
          --al-stripes COUNT, --al-stripe-size-kB SIZE
          --peer-max-bio-size BYTES
          --initialize-bitmap automatic|zeroout|pwrite|skip
          --dry-run           write nothing
          --state-dir DIR     where device sizes are remembered, /var/lib/bsr
      -v, --verbose           more messages; ten times: dump-md lists the activity log
      -c, --config-file FILE, --node NAME, --run-dir DIR are accepted as in every bsr tool
      -h, --help, -V, --version

    EXIT STATUS
      0 success, 1 command failed or declined, 5 outdate of an inconsistent device,
      10 bad value or I/O error, 20 usage, device missing or in use, 40 existing data

    """

// A write beyond `ulimit -f` fails with EFBIG instead.
signal(SIGXFSZ, SIG_IGN)

guard CommandLine.arguments.count > 1 else {
    Console.error(usage)
    exit(20)
}

do throws(Failure) {
    let invocation = try Invocation(Array(CommandLine.arguments.dropFirst()))
    exit(try invocation.run())
} catch {
    switch error.message {
    case Failure.help.message: Console.print(usage)
    case Failure.version.message: Console.print(Release.line("bsrmeta") + "\n")
    default: Console.error(error.message)
    }
    exit(error.status)
}
