// An npy file, whose values must be readable from first to last.
#include "fuzz/errors.h"
#include "fuzz/scratch_file.h"
#include "trace/import/npy.h"

namespace foregate {
namespace {

void read_every_value(const std::filesystem::path& path) {
  const trace::NpyArray array(path);
  for (int64_t i = 0; i < array.size(); ++i) {
    if (array.is_real()) {
      array.real(i);
    } else {
      array.integer(i);
    }
  }
}

}  // namespace
}  // namespace foregate

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const foregate::ScratchFile file(".npy");
  foregate::answer_or_error([&] { foregate::read_every_value(file.write(data, size)); });
  return 0;
}
