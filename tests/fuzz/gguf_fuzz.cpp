// A GGUF file: every tensor that is accepted must decode from within the file; model and tokenizer
// that it holds are read, or refused.
#include <torch/types.h>

#include "fuzz/errors.h"
#include "fuzz/scratch_file.h"
#include "models/model_files.h"
#include "models/registry.h"
#include "tensor/files/gguf.h"
#include "text/tokenizer/tokenizer.h"

namespace foregate {
namespace {

void touch(const torch::Tensor& tensor) {
  const auto* bytes = static_cast<const volatile uint8_t*>(tensor.const_data_ptr());
  for (size_t i = 0; i < tensor.nbytes(); ++i) static_cast<void>(bytes[i]);
}

void read_every_tensor(const tensor::TensorFile& file) {
  for (const tensor::TensorEntry& entry : file.entries()) {
    touch(file.tensor(entry.name));
    touch(file.rows(entry.name, entry.shape[0] / 2, entry.shape[0] - entry.shape[0] / 2));
    file.release_pages(entry.name);
  }
}

void read_model(const std::filesystem::path& path) {
  const models::ModelConfig config = models::read_model_config(path);
  const tensor::Checkpoint checkpoint = models::open_checkpoint(path, config);
  for (const std::string& name : checkpoint.names()) touch(checkpoint.tensor(name).contiguous());
}

void encode(const std::filesystem::path& path) {
  const text::Tokenizer tokenizer = text::Tokenizer::load(path);
  for (const int32_t id : tokenizer.encode("Hello, w\u00f6rld <s>\n 123")) {
    static_cast<void>(tokenizer.token_bytes(id));
  }
}

}  // namespace
}  // namespace foregate

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const foregate::ScratchFile file(".gguf");
  const std::filesystem::path& path = file.write(data, size);
  foregate::answer_or_error([&] { foregate::read_every_tensor(foregate::tensor::GgufFile(path)); });
  foregate::answer_or_error([&] { foregate::read_model(path); });
  foregate::answer_or_error([&] { foregate::encode(path); });
  return 0;
}
