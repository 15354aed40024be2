#include "tensor/files/mapped_pages.h"

#include <sys/mman.h>
#include <unistd.h>

namespace foregate::tensor {

void release_mapped_bytes(const MappedFile& file, uint64_t begin, uint64_t end) {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto base = reinterpret_cast<uintptr_t>(file.bytes().data());
  const uintptr_t first = (base + begin) / page * page;
  const uintptr_t last = (base + end) / page * page;
  if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

}  // namespace foregate::tensor
