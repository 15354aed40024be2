#include "text/tokenizer/formats/tokenizer_path.h"

#include <algorithm>
#include <vector>

#include "base/containers/gguf_header.h"
#include "base/files.h"
#include "base/hash.h"
#include "text/tokenizer/formats/tiktoken.h"

namespace foregate::text {

fs::path tokenizer_path(const fs::path& model) {
  std::error_code error;
  if (!fs::is_directory(model, error)) return model;
  fs::path json = model / "tokenizer.json";
  if (fs::exists(json)) return json;
  std::vector<fs::path> ranks;
  for (const auto& entry : fs::directory_iterator(model)) {
    if (is_tiktoken_file(entry.path())) ranks.push_back(entry.path());
  }
  return ranks.size() == 1 ? ranks.front() : json;
}

std::string tokenizer_digest(const fs::path& model) {
  const fs::path path = tokenizer_path(model);
  return is_gguf_file(path) ? sha256_of_gguf_header(path) : sha256_of_file(path);
}

}  // namespace foregate::text
