// SPDX-License-Identifier: Apache-2.0
import Configuration
import Foundation

exit(Administrator.main())
