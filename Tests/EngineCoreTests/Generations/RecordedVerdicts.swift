// SPDX-License-Identifier: Apache-2.0

/// Every verdict that two Linux 6.1 kernels logged in the recorded sessions: how often, rule and
/// result, the disks, the other circumstances, what came of it; the sets of generations.
enum RecordedVerdicts {
    static let text = """
        28 rule 10 = 0: Inconsistent/Inconsistent -> none
        self 4:0:0:0
        peer 4:0:0:0
        1 rule 30 = 2: UpToDate/Inconsistent -> source-full
        self 458E03D2C1DF6BCB:4:0:0
        peer 4:0:0:0
        1 rule 70 = 1: UpToDate/UpToDate -> source
        self 43F23505CB09939D:458E03D2C1DF6BCB:7040C03EB657AB45:4
        peer 458E03D2C1DF6BCA:0:7040C03EB657AB44:4
        1 rule 20 = -2: Inconsistent/UpToDate -> target-full
        self 4:0:0:0
        peer 458E03D2C1DF6BCB:4:0:0
        1 rule 50 = -1: UpToDate/UpToDate peer-primary -> target
        self 458E03D2C1DF6BCA:0:7040C03EB657AB44:4
        peer 43F23505CB09939D:458E03D2C1DF6BCB:7040C03EB657AB45:4
        1 rule 30 = 2: UpToDate/Inconsistent -> source-full
        self EB4BF23AD459B53F:4:0:0
        peer 4:0:0:0
        1 rule 70 = 1: UpToDate/UpToDate -> source
        self 520ADC598C05D00B:EB4BF23AD459B53F:21D8B11729E88895:4
        peer EB4BF23AD459B53E:0:21D8B11729E88894:4
        1 rule 20 = -2: Inconsistent/UpToDate -> target-full
        self 4:0:0:0
        peer EB4BF23AD459B53F:4:0:0
        1 rule 50 = -1: UpToDate/UpToDate peer-primary -> target
        self EB4BF23AD459B53E:0:21D8B11729E88894:4
        peer 520ADC598C05D00B:EB4BF23AD459B53F:21D8B11729E88895:4
        1 rule 70 = 1: UpToDate/UpToDate -> source
        self 715775C41B0CD041:100CFEB3AB22015:0:0
        peer 100CFEB3AB22014:0:0:0
        1 rule 50 = -1: UpToDate/UpToDate peer-primary -> target
        self 100CFEB3AB22014:0:0:0
        peer 715775C41B0CD041:100CFEB3AB22015:0:0
        1 rule 30 = 2: UpToDate/Inconsistent -> source-full
        self 61DEF3B2A52C8571:4:0:0
        peer 4:0:0:0
        1 rule 50 = -1: UpToDate/UpToDate attaching own-primary -> target
        self 61DEF3B2A52C8571:0:E05137AB3BD7666F:4
        peer 2C66006B99D85686:61DEF3B2A52C8570:E05137AB3BD7666E:4
        1 rule 70 = 1: UpToDate/UpToDate -> source
        self F06EB2A1F5743FB9:2C66006B99D85687:61DFF3B2A52C8571:61DEF3B2A52C8570
        peer 2C66006B99D85686:0:61DFF3B2A52C8570:61DEF3B2A52C8570
        1 rule 20 = -2: Inconsistent/UpToDate -> target-full
        self 4:0:0:0
        peer 61DEF3B2A52C8571:4:0:0
        1 rule 70 = 1: UpToDate/UpToDate peer-crashed -> source
        self 2C66006B99D85686:61DEF3B2A52C8570:E05137AB3BD7666E:4
        peer 61DEF3B2A52C8571:0:E05137AB3BD7666F:4
        1 rule 50 = -1: UpToDate/UpToDate attaching -> target
        self 2C66006B99D85686:0:61DFF3B2A52C8570:61DEF3B2A52C8570
        peer F06EB2A1F5743FB9:2C66006B99D85687:61DFF3B2A52C8571:61DEF3B2A52C8570
        2 rule 40 = 0: UpToDate/UpToDate -> none
        self AB07762072120702:0:0:0
        peer AB07762072120702:0:0:0
        1 rule 30 = 2: UpToDate/Inconsistent -> source-full
        self 66223F18CB5F1F95:4:0:0
        peer 4:0:0:0
        1 rule 70 = 1: UpToDate/UpToDate -> source
        self 958BF38026B1355B:66223F18CB5F1F95:39E5616AD24C58CD:4
        peer 66223F18CB5F1F94:0:39E5616AD24C58CC:4
        1 rule 40 = 0: UpToDate/UpToDate -> none
        self 958BF38026B1355A:0:66233F18CB5F1F95:66223F18CB5F1F95
        peer 958BF38026B1355A:0:66233F18CB5F1F94:66223F18CB5F1F95
        1 rule 70 = 1: UpToDate/UpToDate -> source
        self FB174D907145A173:958BF38026B1355B:66233F18CB5F1F95:66223F18CB5F1F95
        peer 958BF38026B1355A:0:66233F18CB5F1F94:66223F18CB5F1F95
        1 rule 20 = -2: Inconsistent/UpToDate -> target-full
        self 4:0:0:0
        peer 66223F18CB5F1F95:4:0:0
        1 rule 50 = -1: UpToDate/UpToDate peer-primary -> target
        self 66223F18CB5F1F94:0:39E5616AD24C58CC:4
        peer 958BF38026B1355B:66223F18CB5F1F95:39E5616AD24C58CD:4
        1 rule 40 = 0: UpToDate/UpToDate -> none
        self 958BF38026B1355A:0:66233F18CB5F1F94:66223F18CB5F1F95
        peer 958BF38026B1355A:0:66233F18CB5F1F95:66223F18CB5F1F95
        1 rule 50 = -1: UpToDate/UpToDate peer-primary -> target
        self 958BF38026B1355A:0:66233F18CB5F1F94:66223F18CB5F1F95
        peer FB174D907145A173:958BF38026B1355B:66233F18CB5F1F95:66223F18CB5F1F95
        1 rule 70 = 1: UpToDate/UpToDate -> source
        self 1B94F328733B7181:6A0BF38FB30E4D9:0:0
        peer 6A0BF38FB30E4D8:0:0:0
        1 rule 50 = -1: UpToDate/UpToDate peer-primary -> target
        self 6A0BF38FB30E4D8:0:0:0
        peer 1B94F328733B7181:6A0BF38FB30E4D9:0:0
        1 rule 50 = -1: UpToDate/UpToDate peer-primary -> target
        self F43C9BD29E2468F0:0:E0FB83D4D3BE5C11:E0FA83D4D3BE5C11
        peer FAFD9319A76F4F4F:F43C9BD29E2468F0:E0FB83D4D3BE5C10:E0FA83D4D3BE5C11
        1 rule 50 = -1: UpToDate/UpToDate peer-primary -> target
        self E0FA83D4D3BE5C10:0:78E9C2728D82E40:4
        peer F43C9BD29E2468F1:E0FA83D4D3BE5C11:78E9C2728D82E41:4
        1 rule 70 = 1: UpToDate/UpToDate peer-crashed -> source
        self FAFD9319A76F4F4F:F43C9BD29E2468F0:E0FB83D4D3BE5C10:E0FA83D4D3BE5C11
        peer F43C9BD29E2468F0:0:E0FB83D4D3BE5C11:E0FA83D4D3BE5C11
        1 rule 70 = 1: UpToDate/UpToDate -> source
        self 20D88DFD4C84C297:BB3829C964EA2EB1:0:0
        peer BB3829C964EA2EB0:0:0:0
        1 rule 50 = -1: UpToDate/UpToDate peer-primary -> target
        self BB3829C964EA2EB0:0:0:0
        peer 20D88DFD4C84C297:BB3829C964EA2EB1:0:0
        1 rule 90 = 100: UpToDate/UpToDate -> split-brain
        self 8C2FA93182B50AE0:6C83F14C26A53699:0:0
        peer 3BC81FA3232DB476:6C83F14C26A53698:0:0
        1 rule 90 = 100: UpToDate/UpToDate peer-discards -> source
        self 8C2FA93182B50AE0:6C83F14C26A53699:0:0
        peer 3BC81FA3232DB476:6C83F14C26A53698:0:0
        1 rule 70 = 1: UpToDate/Inconsistent -> source
        self 8C2FA93182B50AE0:6C84F14C26A53699:6C83F14C26A53699:0
        peer 6C84F14C26A53698:0:0:0
        1 rule 40 = 0: UpToDate/UpToDate -> none
        self 8C2FA93182B50AE0:0:6C85F14C26A53699:6C84F14C26A53699
        peer 8C2FA93182B50AE0:0:6C85F14C26A53698:6C84F14C26A53699
        1 rule 90 = 100: UpToDate/UpToDate -> split-brain
        self 3BC81FA3232DB476:6C83F14C26A53698:0:0
        peer 8C2FA93182B50AE0:6C83F14C26A53699:0:0
        1 rule 90 = 100: UpToDate/UpToDate own-discards -> target
        self 3BC81FA3232DB476:6C83F14C26A53698:0:0
        peer 8C2FA93182B50AE0:6C83F14C26A53699:0:0
        1 rule 50 = -1: Inconsistent/UpToDate -> target
        self 6C84F14C26A53698:0:0:0
        peer 8C2FA93182B50AE0:6C84F14C26A53699:6C83F14C26A53699:0
        1 rule 40 = 0: UpToDate/UpToDate -> none
        self 8C2FA93182B50AE0:0:6C85F14C26A53698:6C84F14C26A53699
        peer 8C2FA93182B50AE0:0:6C85F14C26A53699:6C84F14C26A53699
        1 rule 30 = 2: UpToDate/Inconsistent -> source-full
        self 4D3C639899280C99:4:0:0
        peer 4:0:0:0
        1 rule 70 = 1: UpToDate/UpToDate -> source
        self A5226F83A4BBDA5B:4D3C639899280C99:FC2BE64421FCE344:4
        peer 4D3C639899280C98:0:FC2BE64421FCE344:4
        1 rule 20 = -2: Inconsistent/UpToDate -> target-full
        self 4:0:0:0
        peer 4D3C639899280C99:4:0:0
        1 rule 50 = -1: UpToDate/UpToDate peer-primary -> target
        self 4D3C639899280C98:0:FC2BE64421FCE344:4
        peer A5226F83A4BBDA5B:4D3C639899280C99:FC2BE64421FCE344:4
        """
}
