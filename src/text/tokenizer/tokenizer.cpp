#include "text/tokenizer/tokenizer.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include <optional>

#include "base/error.h"
#include "text/tokenizer/added_tokens.h"
#include "text/tokenizer/bpe.h"
#include "text/tokenizer/byte_level.h"
#include "text/tokenizer/normalizer.h"
#include "text/tokenizer/post_processor.h"
#include "text/tokenizer/pre_tokenizer.h"
#include "text/tokenizer/tokenizer_file.h"
#include "text/unicode/utf8.h"

namespace foregate::text {
namespace {

/// Settings of whoever saved the file last, for batches of their own. transformers, too, overrules
/// them whenever it encodes.
std::vector<std::string> passed_over(const TokenizerFile& file) {
  std::vector<std::string> notes = file.notes;
  for (const char* key : {"truncation", "padding"}) {
    if (file.component(key).is_null()) continue;
    notes.push_back(
        fmt::format("{}: '{}' is set, and passed over: texts are cut by --max-length "
                    "and never padded",
                    file.where, key));
  }
  return notes;
}

}  // namespace

struct Tokenizer::Impl {
  explicit Impl(TokenizerFile file);

  /// `begins_text`: `text` is the beginning of what was given to encode().
  void encode_normalized(std::string_view text, bool begins_text, std::vector<int32_t>& ids) const;
  /// What a token of the vocabulary stands for.
  std::string bytes_of(const std::string& spelled) const {
    return pre_tokenizer.byte_level() ? bytes_of_spelling(spelled).value_or(spelled)
                                      : bytes_of_sentencepiece(spelled);
  }

  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  BytePairEncoder encoder;
  PostProcessor post_processor;
  Vocabulary vocabulary;
  AddedTokens added_tokens;
  std::string kind;
  std::vector<std::string> notes;
};

Tokenizer::Impl::Impl(TokenizerFile file)
    : normalizer(Normalizer::from_json(file.component("normalizer"), file.where)),
      pre_tokenizer(PreTokenizer::from_json(file.component("pre_tokenizer"), file.where)),
      encoder(file, pre_tokenizer.byte_level()),
      post_processor(PostProcessor::from_json(file.component("post_processor"), file.where)),
      vocabulary(std::move(file.vocabulary)),
      added_tokens(AddedTokens::from_json(file.component("added_tokens"), normalizer, vocabulary,
                                          file.where)) {
  notes = passed_over(file);
  if (pre_tokenizer.needs_text_begin() && normalizer.may_cut_front()) {
    throw DataError(
        fmt::format("{}: pre_tokenizer: prepend_scheme is \"first\" behind a normalizer that may "
                    "cut the text's "
                    "front ({}), which is not supported",
                    file.where, normalizer.description()));
  }
  kind = fmt::format("{}BPE, {} tokens{}{}", pre_tokenizer.byte_level() ? "byte-level " : "",
                     vocabulary.size(), normalizer.description().empty() ? "" : ", ",
                     normalizer.description());
}

void Tokenizer::Impl::encode_normalized(std::string_view text, bool begins_text,
                                        std::vector<int32_t>& ids) const {
  std::string storage;
  const std::string_view normalized = normalizer.normalize(text, storage);
  for (const auto& segment : added_tokens.normalized().split(normalized)) {
    if (segment.id) {
      ids.push_back(*segment.id);
      continue;
    }
    const bool first = begins_text && segment.text.data() == normalized.data();
    const Words words = pre_tokenizer.split(segment.text, first);
    for (const std::string_view word : words.views) encoder.encode(word, ids);
  }
}

Tokenizer Tokenizer::load(const std::filesystem::path& path) {
  return Tokenizer(std::make_unique<Impl>(TokenizerFile::read(path)));
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
      impl_->encode_normalized(segment.text, segment.text.data() == text.data(), ids);
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
  return replace_invalid_utf8(impl_->bytes_of(spelled));
}

std::string Tokenizer::token_bytes(int32_t id) const {
  if (impl_->added_tokens.is_special(id)) return {};
  const std::string& spelled = impl_->vocabulary.token(id);
  return impl_->added_tokens.contains(id) ? spelled : impl_->bytes_of(spelled);
}

int32_t Tokenizer::vocab_size() const {
  return impl_->vocabulary.size();
}

const std::vector<std::string>& Tokenizer::notes() const {
  return impl_->notes;
}

const std::string& Tokenizer::kind() const {
  return impl_->kind;
}

}  // namespace foregate::text
