// swift-tools-version:6.2
import PackageDescription

/// Every Swift target is built the same way; a deviation stands beside its target with its reason.
let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .enableUpcomingFeature("InferIsolatedConformances"),
    .enableExperimentalFeature("Lifetimes"),
    .treatAllWarnings(as: .error),
]

/// A library of the tree in `Docs/internals/architecture.md`; `at` is its folder below `Sources`.
func library(
    _ name: String,
    at path: String? = nil,
    _ dependencies: [Target.Dependency] = [],
    resources: [Resource] = []
) -> Target {
    .target(
        name: name,
        dependencies: dependencies,
        path: "Sources/\(path ?? name)",
        resources: resources,
        swiftSettings: settings
    )
}

/// An executable of `Sources/Tools`.
func tool(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(
        name: name,
        dependencies: dependencies,
        path: "Sources/Tools/\(name)",
        swiftSettings: settings
    )
}

/// A test target of `Tests`; all of them see `TestSupport`.
func tests(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource] = [])
    -> Target
{
    .testTarget(
        name: name,
        dependencies: dependencies + ["TestSupport", "Primitives"],
        path: "Tests/\(name)",
        resources: resources,
        swiftSettings: settings
    )
}

let package = Package(
    name: "bsr",
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    ],
    targets: [
        .systemLibrary(
            name: "CUring",
            path: "Sources/CSystem/CUring",
            pkgConfig: "liburing",
            providers: [.apt(["liburing-dev"])]
        ),
        .systemLibrary(
            name: "COpenSSL",
            path: "Sources/CSystem/COpenSSL",
            pkgConfig: "libcrypto",
            providers: [.apt(["libssl-dev"])]
        ),
        .systemLibrary(
            name: "CZstd",
            path: "Sources/CSystem/CZstd",
            pkgConfig: "libzstd",
            providers: [.apt(["libzstd-dev"])]
        ),
        .systemLibrary(
            name: "CLZ4",
            path: "Sources/CSystem/CLZ4",
            pkgConfig: "liblz4",
            providers: [.apt(["liblz4-dev"])]
        ),

        .target(name: "CChecksum", path: "Sources/CSystem/CChecksum"),
        .target(name: "CLinux", path: "Sources/CSystem/CLinux"),
        library("Primitives"),
        library("Wire", ["Primitives"]),
        library("Metadata", ["Primitives", "CChecksum"]),
        library("EngineCore", at: "Engine/Core", ["Primitives", "Wire", "Metadata"]),
        library("DRXCore", at: "DRX/Core", ["Primitives", "Wire"]),
        library(
            "Simulation",
            ["Primitives", "Wire", "Metadata", "EngineCore"],
            resources: [.embedInCode("Coverage/transitions.txt")]
        ),
        library("Locking", ["Primitives"]),
        library("Reactor", ["CUring", "CLinux", "Primitives", "Locking"]),
        library("Configuration", ["Primitives"]),
        library("Administration", ["Primitives", "Wire", "EngineCore", "Locking"]),
        library(
            "Engine",
            at: "Engine/Runtime",
            [
                "COpenSSL", "Primitives", "Wire", "Metadata", "EngineCore", "Locking", "Reactor",
                "Configuration", "Administration",
            ]
        ),
        library(
            "DRX",
            at: "DRX/Runtime",
            [
                "CZstd", "CLZ4", "CChecksum", "Primitives", "Wire", "DRXCore", "Locking", "Reactor",
                "Administration",
            ]
        ),
        library(
            "LinkSimulation",
            ["CLinux", "Primitives", "Locking", "Wire", "Administration"]
        ),

        library(
            "ToolSupport",
            at: "Tools/ToolSupport",
            [
                "Administration",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
            ]
        ),
        tool(
            "bsrd",
            [
                "Engine", "EngineCore", "Administration", "Configuration", "Primitives", "Reactor",
                "ToolSupport",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
            ]
        ),
        tool(
            "drxd",
            [
                "DRX", "Administration", "Primitives", "Reactor", "ToolSupport",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
            ]
        ),
        tool("bsrmeta", ["Metadata", "Primitives"]),
        tool(
            "bsr-sim",
            [
                "Locking", "Primitives", "Simulation", "ToolSupport",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]
        ),
        tool("bsradm", ["Configuration", "Primitives"]),
        tool("bsrsetup", ["Administration", "Primitives"]),
        tool(
            "drxsim",
            [
                "LinkSimulation", "Administration", "Primitives", "ToolSupport",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]
        ),
        tool(
            "drxctl",
            [
                "Administration", "Configuration", "DRXCore", "Primitives", "ToolSupport", "Wire",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]
        ),

        .target(
            name: "TestSupport",
            dependencies: ["Primitives", "Configuration", "CZstd"],
            path: "Tests/TestSupport",
            resources: [.copy("Recordings")],
            swiftSettings: settings
        ),
        .target(
            name: "PowerCutStore",
            dependencies: ["Engine", "Locking", "Primitives", "Reactor"],
            path: "Tests/PowerCut/Store",
            swiftSettings: settings
        ),
        .executableTarget(
            name: "bsrd-powercut",
            dependencies: ["Administration", "Engine", "EngineCore", "PowerCutStore", "Reactor"],
            path: "Tests/PowerCut/Daemon",
            swiftSettings: settings
        ),
        .target(
            name: "KillTesting",
            dependencies: [
                "Administration", "Engine", "EngineCore", "LinkSimulation", "Locking", "Metadata",
                "Primitives", "TestSupport", "Wire",
            ],
            path: "Tests/PowerCut/KillTesting",
            swiftSettings: settings
        ),
        .executableTarget(
            name: "kill-test",
            dependencies: ["Engine", "KillTesting"],
            path: "Tests/PowerCut/Program",
            swiftSettings: settings
        ),
        tests("PrimitivesTests", []),
        tests("LockingTests", ["Locking"]),
        tests("WireTests", ["Wire"]),
        tests("MetadataTests", ["Metadata", "CChecksum"]),
        tests("EngineCoreTests", ["Wire", "Metadata", "EngineCore", "Locking"]),
        tests("SimulationTests", ["Wire", "Metadata", "EngineCore", "Simulation"]),
        tests("DRXCoreTests", ["Wire", "DRXCore"]),
        .target(name: "CAllocationCounter", path: "Tests/ReactorAllocations/Counter"),
        .executableTarget(
            name: "reactor-allocations",
            dependencies: ["Reactor", "Primitives", "CAllocationCounter"],
            path: "Tests/ReactorAllocations/Program",
            swiftSettings: settings
        ),
        tests("ReactorTests", ["Reactor", "CAllocationCounter", "reactor-allocations"]),
        tests(
            "EngineTests",
            [
                "Administration", "Engine", "EngineCore", "Configuration", "Locking", "Metadata",
                "Reactor", "Wire",
            ]
        ),
        tests(
            "DRXTests",
            [
                "DRX", "DRXCore", "Wire", "Administration", "LinkSimulation", "CLinux", "drxd",
                "drxctl",
            ]
        ),
        tests("ConfigurationTests", ["Configuration"]),
        tests("AdministrationTests", ["Wire", "EngineCore", "Administration", "Configuration"]),
        tests("LinkSimulationTests", ["LinkSimulation", "Administration", "Wire"]),
        tests("TidyTests", []),
        tests(
            "SystemTests",
            ["Engine", "PowerCutStore", "KillTesting", "bsrd-powercut", "bsrmeta", "drxd"]
        ),
        tests(
            "SiteTests",
            ["bsrd", "drxd", "drxsim", "bsradm", "bsrsetup", "bsrmeta", "drxctl", "bsr-sim"]
        ),
        tests("InteropTests", ["Metadata", "bsradm", "bsrmeta"]),
        tests(
            "ManualTests",
            [
                "Configuration", "Administration", "bsrd", "drxd", "bsradm", "bsrsetup", "bsrmeta",
                "drxctl", "drxsim", "bsr-sim",
            ]
        ),
    ]
)
