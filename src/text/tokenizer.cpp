#include "text/tokenizer.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include <optional>

#include "base/error.h"
#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/byte_level.h"
#include "text/normalizer.h"
#include "text/post_processor.h"
#include "text/pre_tokenizer.h"
#include "text/tokenizer_file.h"
#include "text/utf8.h"

namespace foregate {
namespace {

/// Truncation and padding would change every encoding; the tokenizers library applies them
/// silently.
void refuse_truncation_and_padding(const TokenizerFile& file) {
  for (const char* key : {"truncation", "padding"}) {
    if (!file.component(key).is_null()) {
      throw DataError(fmt::format(
          "{}: '{}' is set, which is not supported; set it to null (texts are cut by --max-length)",
          file.where, key));
    }
  }
}

}  // namespace

struct Tokenizer::Impl {
  explicit Impl(TokenizerFile file);

  void encode_normalized(std::string_view text, std::vector<int32_t>& ids) const;
  void encode_words(std::string_view text, std::vector<int32_t>& ids) const;

  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  BytePairEncoder encoder;
  PostProcessor post_processor;
  Vocabulary vocabulary;
  AddedTokens added_tokens;
  std::string kind;
};

Tokenizer::Impl::Impl(TokenizerFile file)
    : normalizer(Normalizer::from_json(file.component("normalizer"), file.where)),
      pre_tokenizer(PreTokenizer::from_json(file.component("pre_tokenizer"), file.where)),
      encoder(file),
      post_processor(PostProcessor::from_json(file.component("post_processor"), file.where)),
      vocabulary(std::move(file.vocabulary)),
      added_tokens(AddedTokens::from_json(file.component("added_tokens"), normalizer, vocabulary,
                                          file.where)) {
  refuse_truncation_and_padding(file);
  kind = fmt::format("byte-level BPE, {} tokens{}", vocabulary.size(),
                     normalizer.nfc() ? ", NFC" : "");
}

void Tokenizer::Impl::encode_normalized(std::string_view text, std::vector<int32_t>& ids) const {
  std::string storage;
  for (const auto& segment : added_tokens.normalized().split(normalizer.normalize(text, storage))) {
    if (segment.id) {
      ids.push_back(*segment.id);
    } else {
      encode_words(segment.text, ids);
    }
  }
}

void Tokenizer::Impl::encode_words(std::string_view text, std::vector<int32_t>& ids) const {
  for (const std::string_view word : pre_tokenizer.split(text)) encoder.encode(word, ids);
}

Tokenizer Tokenizer::load(const std::filesystem::path& tokenizer_json) {
  return Tokenizer(std::make_unique<Impl>(TokenizerFile::read(tokenizer_json)));
}

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

std::vector<int32_t> Tokenizer::encode(std::string_view text, bool add_special) const {
  std::string repaired;
  if (!is_valid_utf8(text)) {
    repaired = replace_invalid_utf8(text);
    text = repaired;
  }
  std::vector<int32_t> ids;
  ids.reserve(text.size() / 3 + 2);
  const PostProcessor& around = impl_->post_processor;
  if (add_special) ids.insert(ids.end(), around.prefix.begin(), around.prefix.end());
  for (const auto& segment : impl_->added_tokens.raw().split(text)) {
    if (segment.id) {
      ids.push_back(*segment.id);
    } else {
      impl_->encode_normalized(segment.text, ids);
    }
  }
  if (add_special) ids.insert(ids.end(), around.suffix.begin(), around.suffix.end());
  return ids;
}

std::string Tokenizer::token(int32_t id) const {
  return impl_->vocabulary.token(id);
}

std::string Tokenizer::decoded_token(int32_t id) const {
  const std::string& spelled = impl_->vocabulary.token(id);
  if (impl_->added_tokens.contains(id)) return spelled;
  return replace_invalid_utf8(bytes_of_spelling(spelled).value_or(spelled));
}

int32_t Tokenizer::vocab_size() const {
  return impl_->vocabulary.size();
}

const std::string& Tokenizer::kind() const {
  return impl_->kind;
}

}  // namespace foregate
