// SPDX-License-Identifier: Apache-2.0

/// A resource file and what `show` prints when all of it runs.
package enum AdjustSample {
    package static let file = """
        resource r {
        options { quorum majority; }
        net { max-buffers 8k; }
        volume 0 { device minor 10; disk /dev/a; disk { al-extents 3000; size 10G; } }
        volume 1 { device minor 11; disk /dev/b; meta-disk /dev/m; }
        on alpha { node-id 0; address 10.0.0.1:7789; }
        on beta { node-id 1; address 10.0.0.2:7789; }
        disk { resync-rate 40M; } }
        """

    package static let running = """
        resource "r" {
            options { quorum majority; }
            _this_host {
                node-id 0;
                volume 0 { device minor 10; disk "/dev/a"; meta-disk internal;
                    disk { size 20971520s; # bytes
                    al-extents 3000; } }
                volume 1 { device minor 11; disk "/dev/b"; meta-disk "/dev/m"; }
            }
            connection {
                _peer_node_id 1;
                path { _this_host ipv4 10.0.0.1:7789; _remote_host ipv4 10.0.0.2:7789; }
                net { max-buffers 8192; _name "beta"; }
                volume 0 { disk { resync-rate 40960k; } }
                volume 1 { disk { resync-rate 40960k; } }
            }
        }

        """
}
