#pragma once

#include <cstdint>

#include "base/files.h"

namespace foregate::tensor {

/// Lets these bytes of a mapped file leave this process's memory; whoever touches them again has
/// them read again. The first page may be shared with what lies in front, which has been read by
/// then or is read again; the last one with what comes next, which stays.
void release_mapped_bytes(const MappedFile& file, uint64_t begin, uint64_t end);

}  // namespace foregate::tensor
