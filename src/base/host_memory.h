#pragma once

#include <cstdint>
#include <filesystem>

namespace foregate {

/// Bytes that this process may still take on this machine: what the system can give without
/// swapping (MemAvailable), or less where a control group limits it. 0 if the system does not say.
int64_t available_host_memory();

/// The same from these files: /proc/meminfo, and the folder of a control group of version 2 with
/// memory.max and memory.current. Files that are not there limit nothing.
int64_t available_host_memory(const std::filesystem::path& meminfo,
                              const std::filesystem::path& control_group);

}  // namespace foregate
