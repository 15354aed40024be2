#include "models/weights/weight_digests.h"

#include <algorithm>
#include <span>
#include <string_view>

#include "base/containers/gguf_header.h"
#include "base/containers/safetensors_header.h"
#include "base/files.h"
#include "base/hash.h"
#include "tensor/files/checkpoint.h"

namespace foregate::models {
namespace {

constexpr uint64_t kSampleBytes = 4096;
constexpr uint64_t kSampleEvery = 8ULL << 20;
constexpr uint64_t kMostWholeBytes = 16ULL << 20;

/// A tensor's bytes in its file.
struct StoredBytes {
  std::string name;
  std::vector<int64_t> shape;
  uint64_t begin;
  uint64_t end;
};

/// What a file of weights holds, whatever its format.
struct FileLayout {
  uint64_t header_end;
  std::vector<StoredBytes> tensors;
};

FileLayout layout_of(const MappedFile& file) {
  FileLayout layout;
  if (is_gguf_file(file.path())) {
    const GgufHeader header(file.text(), file.path().string());
    layout.header_end = header.data_start();
    for (const GgufTensor& tensor : header.tensors()) {
      layout.tensors.push_back({tensor.name, tensor.shape, tensor.begin, tensor.end});
    }
    return layout;
  }
  const SafetensorsHeader header = parse_safetensors_header(file.text(), file.path().string());
  layout.header_end = header.data_start;
  for (const TensorRecord& tensor : header.tensors) {
    layout.tensors.push_back({tensor.name, tensor.shape, header.data_start + tensor.begin,
                              header.data_start + tensor.end});
  }
  return layout;
}

bool is_read_whole(const StoredBytes& tensor, const ModelConfig& config) {
  if (tensor.end - tensor.begin > kMostWholeBytes) return false;
  return tensor.shape.size() <= 1 ||
         tensor.shape == std::vector<int64_t>{config.num_experts, config.hidden_size};
}

void add_samples(Sha256& hash, const std::string& name, std::string_view bytes) {
  uint64_t number = 0;
  for (uint64_t begin = 0; begin < bytes.size(); begin += kSampleEvery, ++number) {
    const std::string_view part = bytes.substr(begin, kSampleEvery);
    const uint64_t places = part.size() > kSampleBytes ? part.size() - kSampleBytes + 1 : 1;
    hash.update(part.substr(stable_hash(name, number) % places, kSampleBytes));
  }
}

FileDigest digest_of_file(const fs::path& folder, const std::string& name,
                          const ModelConfig& config) {
  const MappedFile file(folder / name);
  const FileLayout layout = layout_of(file);
  Sha256 hash;
  hash.update(file.text().substr(0, layout.header_end));
  for (const StoredBytes& tensor : layout.tensors) {
    const std::string_view bytes = file.text().substr(tensor.begin, tensor.end - tensor.begin);
    if (is_read_whole(tensor, config)) {
      hash.update(bytes);
    } else {
      add_samples(hash, tensor.name, bytes);
    }
  }
  return {name, static_cast<int64_t>(file.bytes().size()), hash.hex_digest()};
}

}  // namespace

std::vector<FileDigest> weight_digests(const std::filesystem::path& model,
                                       const ModelConfig& config) {
  std::vector<FileDigest> digests;
  const fs::path folder = tensor::weights_folder(model);
  for (const std::string& name : tensor::weight_files(model)) {
    digests.push_back(digest_of_file(folder, name, config));
  }
  return digests;
}

}  // namespace foregate::models
