#include "text/datasets/synthetic.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "base/error.h"
#include "base/files.h"
#include "base/random.h"
#include "text/tokenizer/byte_level.h"

namespace foregate::text {
namespace {

// A syllable is a consonant and a vowel; as no merge begins with a vowel, merging a word can only
// go one way: its syllables, then from the left.
constexpr std::string_view kConsonants = "bcdfghjklmnpqrstvwxyz";
constexpr std::string_view kVowels = "aeiou";
constexpr int64_t kSyllables = static_cast<int64_t>(kConsonants.size() * kVowels.size());
constexpr int64_t kBytes = 256;
// Bytes, syllables, and words of one and of two syllables come before those of three.
constexpr int64_t kShorter = kBytes + kSyllables + kSyllables + kSyllables * kSyllables;
constexpr int64_t kFirstWordTokens = 3;  // without a space before it a word falls into syllables

constexpr const char* kHead =
    R"({"version": "1.0", "added_tokens": [], "normalizer": {"type": "NFC"}, "pre_tokenizer":
{"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex":
"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"},
"behavior": "Isolated", "invert": false},
{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false}]},
"post_processor": null, "decoder": {"type": "ByteLevel", "add_prefix_space": false,
"trim_offsets": false, "use_regex": false}, "model": {"type": "BPE", "dropout": null,
"unk_token": null, "continuing_subword_prefix": "", "end_of_word_suffix": "", "fuse_unk": false,
"byte_fallback": false, "vocab": {)";

std::string syllable(int64_t index) {
  const auto vowels = static_cast<int64_t>(kVowels.size());
  return {kConsonants[static_cast<size_t>(index / vowels)],
          kVowels[static_cast<size_t>(index % vowels)]};
}

// The index-th word of three syllables.
std::string word(int64_t index) {
  return syllable(index / kSyllables / kSyllables) + syllable(index / kSyllables % kSyllables) +
         syllable(index % kSyllables);
}

// Tokens and the merges that make them, in rank order, as JSON.
class VocabularyText {
 public:
  void add(const std::string& token) {
    const bool quoted = token == "\"" || token == "\\";
    fmt::format_to(std::back_inserter(tokens_), "{}\"{}{}\": {}", size_ == 0 ? "" : ",\n",
                   quoted ? "\\" : "", token, size_);
    ++size_;
  }
  void merge(const std::string& left, const std::string& right) {
    fmt::format_to(std::back_inserter(merges_), "{}\"{} {}\"", merges_.empty() ? "" : ",\n", left,
                   right);
    add(left + right);
  }
  std::string json() const { return kHead + tokens_ + "}, \"merges\": [" + merges_ + "]}}\n"; }

 private:
  int64_t size_ = 0;
  std::string tokens_;
  std::string merges_;
};

}  // namespace

SyntheticTexts::SyntheticTexts(int64_t vocab_size)
    : num_words_(std::min(vocab_size - kShorter, kSyllables * kSyllables * kSyllables)) {
  if (num_words_ < 1) {
    throw UsageError(fmt::format(
        "synthetic texts need a vocabulary of more than {} tokens; this geometry has {}", kShorter,
        vocab_size));
  }
}

void SyntheticTexts::write_tokenizer(const std::filesystem::path& path) const {
  const std::string space = byte_spelling(' ');
  VocabularyText vocabulary;
  for (int byte = 0; byte < kBytes; ++byte) {
    vocabulary.add(byte_spelling(static_cast<unsigned char>(byte)));
  }
  for (int64_t i = 0; i < kSyllables; ++i) {
    vocabulary.merge(syllable(i).substr(0, 1), syllable(i).substr(1));
  }
  for (int64_t i = 0; i < kSyllables; ++i) vocabulary.merge(space, syllable(i));
  for (int64_t i = 0; i < kSyllables * kSyllables; ++i) {
    vocabulary.merge(space + syllable(i / kSyllables), syllable(i % kSyllables));
  }
  for (int64_t i = 0; i < num_words_; ++i) {
    vocabulary.merge(space + word(i).substr(0, 4), word(i).substr(4));
  }
  write_file_atomically(path, vocabulary.json());
}

void SyntheticTexts::write_texts(const std::filesystem::path& path, int64_t texts, int64_t shortest,
                                 int64_t longest, uint64_t seed) const {
  Random random(seed);
  std::string lines;
  for (int64_t text = 0; text < texts; ++text) {
    const int64_t tokens =
        shortest +
        static_cast<int64_t>(random.below(static_cast<uint64_t>(longest - shortest + 1)));
    for (int64_t done = 0; done < tokens; done += done == 0 ? kFirstWordTokens : 1) {
      if (done > 0) lines += ' ';
      lines += word(static_cast<int64_t>(random.below(static_cast<uint64_t>(num_words_))));
    }
    lines += '\n';
  }
  write_file_atomically(path, lines);
}

}  // namespace foregate::text
