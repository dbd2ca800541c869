// SPDX-License-Identifier: Apache-2.0

/// What an administrator does about a disk that cannot be opened.
package enum DiskRemedy {
    /// What to do about the disk of a path that is no regular file or block device.
    package static let otherKind =
        "a disk is a regular file or a block device: correct 'disk' or 'meta-disk' in the resource "
        + "file"

    /// What to do if opening the disk fails with `errno`; nil if that says too little.
    package static func text(errno: Int32) -> String? {
        switch errno {
        // ENOENT, ENXIO, ENODEV
        case 2, 6, 19: "create it, or correct 'disk' or 'meta-disk' in the resource file"
        // ENOTDIR, EISDIR
        case 20, 21: Self.otherKind
        // EPERM, EACCES
        case 1, 13: "the user that bsrd and the tools run as has to be able to read and write it"
        // EROFS
        case 30: "it has to be writable"
        default: nil
        }
    }
}
