// A safetensors file, of which every tensor that is accepted must lie inside the file.
#include <torch/types.h>

#include "fuzz/errors.h"
#include "fuzz/scratch_file.h"
#include "tensor/files/safetensors.h"

namespace foregate {
namespace {

void read_every_tensor(const std::filesystem::path& path) {
  const tensor::SafetensorsFile file(path);
  for (const tensor::TensorEntry& entry : file.entries()) {
    const torch::Tensor tensor = file.tensor(entry.name);
    const auto* bytes = static_cast<const volatile uint8_t*>(tensor.const_data_ptr());
    for (size_t i = 0; i < tensor.nbytes(); ++i) static_cast<void>(bytes[i]);
    file.release_pages(entry.name);
  }
}

}  // namespace
}  // namespace foregate

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const foregate::ScratchFile file(".safetensors");
  foregate::answer_or_error([&] { foregate::read_every_tensor(file.write(data, size)); });
  return 0;
}
