#include "hub/download.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>
#include <vector>

#include "base/error.h"
#include "base/hash.h"
#include "hub/blob_lock.h"
#include "hub/errors.h"
#include "hub/partial_file.h"
#include "hub/url.h"

namespace foregate::hub {
namespace {

constexpr size_t kHashBuffer = 4 << 20;

/// What came cannot be this file: it has to be had from the start.
class WrongContent : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The first byte of "Content-Range: bytes 100-199/200".
std::optional<uint64_t> first_byte_of(const Headers& headers) {
  const auto found = headers.find("content-range");
  constexpr std::string_view kUnit = "bytes ";
  if (found == headers.end() || !found->second.starts_with(kUnit)) return std::nullopt;
  uint64_t first = 0;
  const char* begin = found->second.data() + kUnit.size();
  const auto [end, error] =
      std::from_chars(begin, found->second.data() + found->second.size(), first);
  if (error != std::errc()) return std::nullopt;
  return first;
}

class FileSink : public Sink {
 public:
  FileSink(PartialFile& partial, const RemoteFile& file, FileMeter& meter)
      : partial_(partial), file_(file), meter_(meter) {}

  void start(const Response& response) override {
    if (response.status != 206) {
      partial_.clear();  // a server that knows no ranges begins at the beginning
      meter_.set(0);
    } else if (first_byte_of(response.headers) != partial_.size()) {
      throw WrongContent("the server sent another part than was asked for");
    }
  }

  void append(std::span<const std::byte> bytes) override {
    if (partial_.size() + bytes.size() > file_.size) {
      throw WrongContent(fmt::format("more than the {} bytes that the hub lists", file_.size));
    }
    partial_.append(bytes);
    meter_.set(partial_.size());
    meter_.add_received(bytes.size());
  }

 private:
  PartialFile& partial_;
  const RemoteFile& file_;
  FileMeter& meter_;
};

std::string hash_of(const PartialFile& partial, const RemoteFile& file, const StopToken& stop) {
  const bool is_lfs = file.hash.size() == 64;
  const std::unique_ptr<Digest> digest = is_lfs
                                             ? std::unique_ptr<Digest>(std::make_unique<Sha256>())
                                             : std::make_unique<GitBlobHash>(file.size);
  std::vector<std::byte> buffer(std::min<uint64_t>(kHashBuffer, file.size + 1));
  uint64_t offset = 0;
  while (const size_t count = partial.read_at(offset, buffer)) {
    digest->update(std::span(buffer).first(count));
    offset += count;
    if (stop.stop_requested()) throw Stopped();
  }
  return digest->hex_digest();
}

/// One answer: whether the file has its size now, or why not.
struct Attempt {
  std::string problem;
  Headers headers;
};

Attempt attempt(HttpClient& client, const Request& request, const RemoteFile& file,
                PartialFile& partial, FileMeter& meter) {
  try {
    FileSink sink(partial, file, meter);
    const Response response = client.get(request.url, partial.size(), sink);
    if (response.status / 100 == 2) {
      if (partial.size() == file.size) return {};
      return {fmt::format("{}: ended after {} of {} bytes", shown(request.url), partial.size(),
                          file.size),
              {}};
    }
    if (response.status == 416) throw WrongContent("the server has no such part of it");
    // Addresses of other hosts are signed and run out; the next try gets a new one.
    if (!is_temporary(response.status) && response.from_endpoint) {
      throw_refusal(response, request, client.environment());
    }
    return {describe(response, request), response.headers};
  } catch (const ConnectionError& error) {
    return {error.what(), {}};
  }
}

/// Until the file has its size.
void fill(HttpClient& client, const Request& request, const RemoteFile& file, PartialFile& partial,
          FileMeter& meter) {
  Backoff backoff;
  uint64_t best = partial.size();
  while (partial.size() != file.size) {
    const Attempt result = attempt(client, request, file, partial, meter);
    if (result.problem.empty()) return;
    // Only what was never there before is progress: a server may break off at the same byte
    // forever.
    if (partial.size() > best) backoff.succeeded();
    best = std::max(best, partial.size());
    wait_or_give_up(backoff, result.problem, result.headers, client);
  }
}

/// Until the file has its size and its hash.
void fill_and_check(HttpClient& client, const Request& request, const RemoteFile& file,
                    PartialFile& partial, FileMeter& meter) {
  for (bool last = false;; last = true) {
    std::string problem;
    try {
      if (partial.size() > file.size) throw WrongContent("the part that was there is too long");
      fill(client, request, file, partial, meter);
      const std::string found = hash_of(partial, file, client.stop());
      if (found == file.hash) return;
      problem = fmt::format("its hash is {}; expected {}", found, file.hash);
    } catch (const WrongContent& wrong) {
      problem = wrong.what();
    }
    partial.clear();
    meter.set(0);
    if (last) {
      throw DataError(
          fmt::format("{}: {}. It came wrong twice; something between here and the hub changes it",
                      shown(request.url), problem));
    }
    client.log().warning("{}: {}; downloading it from the start", file.path, problem);
  }
}

}  // namespace

void download_file(HttpClient& client, const RepoCache& cache, const Source& source,
                   const RemoteFile& file, FileMeter& meter) {
  if (!cache.has_blob(file.hash, file.size)) {
    const BlobLock lock(cache.lock(file.hash), file.path, client.stop(), client.log());
    // Whoever held the lock may have brought it.
    if (!cache.has_blob(file.hash, file.size)) {
      const Request request{
          source.repo, source.revision,
          fmt::format("{}/{}{}/resolve/{}/{}", client.environment().endpoint, source.repo.prefix(),
                      source.repo.name, source.commit, escape(file.path, true))};
      PartialFile partial(cache.incomplete(file.hash));
      meter.set(partial.size());
      fill_and_check(client, request, file, partial, meter);
      partial.commit(cache.blob(file.hash));
    }
  }
  meter.set(file.size);
  cache.link(source.commit, file.path, file.hash);
}

}  // namespace foregate::hub
