#include "hub/http.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <exception>

#include "base/error.h"
#include "hub/url.h"

namespace foregate::hub {
namespace {

constexpr int kMaxRedirects = 10;
constexpr size_t kErrorBody = 4096;
constexpr long kReceiveBuffer = 512 * 1024;

/// libcurl wants to be set up before threads use it, once a process.
void initialize_curl() {
  static const CURLcode result = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (result != CURLE_OK) {
    throw EnvironmentError(fmt::format("libcurl cannot be used: {}", curl_easy_strerror(result)));
  }
}

std::string lower_case(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

std::string trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return "";
  return std::string(text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1));
}

class HeaderList {
 public:
  ~HeaderList() { curl_slist_free_all(list_); }
  HeaderList() = default;
  HeaderList(const HeaderList&) = delete;
  HeaderList& operator=(const HeaderList&) = delete;
  void add(const std::string& line) { list_ = curl_slist_append(list_, line.c_str()); }
  curl_slist* get() const { return list_; }

 private:
  curl_slist* list_ = nullptr;
};

bool is_certificate_problem(CURLcode code) {
  return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE ||
         code == CURLE_SSL_CERTPROBLEM;
}

}  // namespace

/// One request while it runs. Exceptions must not pass through libcurl: they wait here.
struct HttpClient::Transfer {
  CURL* handle;
  Sink& sink;
  const StopToken& stop;
  Response response;
  bool started = false;
  std::exception_ptr error;

  void take_header(std::string_view line) {
    if (line.starts_with("HTTP/")) response.headers.clear();  // the answer of a proxy came before
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) return;
    response.headers[lower_case(trimmed(line.substr(0, colon)))] = trimmed(line.substr(colon + 1));
  }

  void take_body(std::span<const std::byte> bytes) {
    read_status();
    if (response.status / 100 != 2) {
      const size_t room = kErrorBody - std::min(kErrorBody, response.error_body.size());
      response.error_body.append(reinterpret_cast<const char*>(bytes.data()),
                                 std::min(room, bytes.size()));
      return;
    }
    if (!started) sink.start(response);
    started = true;
    sink.append(bytes);
  }

  void read_status() {
    long status = 0;
    curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
    response.status = static_cast<int>(status);
  }

  /// Returns the number of bytes taken; fewer than offered end the transfer.
  template <typename Take>
  size_t guarded(size_t size, Take take) {
    try {
      take();
      return size;
    } catch (...) {
      error = std::current_exception();
      return size == 0 ? 1 : 0;
    }
  }

  static size_t on_header(char* data, size_t size, size_t count, void* self) {
    auto& transfer = *static_cast<Transfer*>(self);
    return transfer.guarded(size * count, [&] { transfer.take_header({data, size * count}); });
  }
  static size_t on_body(char* data, size_t size, size_t count, void* self) {
    auto& transfer = *static_cast<Transfer*>(self);
    return transfer.guarded(
        size * count, [&] { transfer.take_body(std::as_bytes(std::span(data, size * count))); });
  }
  static int on_progress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    return static_cast<Transfer*>(self)->stop.stop_requested() ? 1 : 0;
  }
};

struct HttpClient::Impl {
  CURL* handle = curl_easy_init();
  ~Impl() { curl_easy_cleanup(handle); }
};

HttpClient::HttpClient(const Environment& environment, const StopToken& stop, Logger& log)
    : environment_(environment), stop_(stop), log_(log) {
  initialize_curl();
  impl_ = std::make_unique<Impl>();
  if (impl_->handle == nullptr) throw EnvironmentError("libcurl cannot be used: no memory");
}

HttpClient::~HttpClient() = default;

Response HttpClient::get_once(const std::string& url, uint64_t first_byte, Sink& sink) {
  CURL* handle = impl_->handle;
  curl_easy_reset(handle);  // options only; open connections stay
  Transfer transfer{handle, sink, stop_, {}, false, nullptr};
  transfer.response.from_endpoint = same_origin(url, environment_.endpoint);

  HeaderList headers;
  headers.add("Accept-Encoding: identity");  // sizes and ranges are those of the file itself
  if (!environment_.token.empty() && transfer.response.from_endpoint) {
    headers.add("Authorization: Bearer " + environment_.token);
  }
  if (first_byte > 0) headers.add(fmt::format("Range: bytes={}-", first_byte));

  curl_easy_setopt(handle, CURLOPT_URL, url.c_str());
  curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(handle, CURLOPT_USERAGENT, "foregate");
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(handle, CURLOPT_BUFFERSIZE, kReceiveBuffer);
  const long patience = environment_.timeout.count();
  curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT, patience);
  curl_easy_setopt(handle, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(handle, CURLOPT_LOW_SPEED_TIME, patience);
  if (!environment_.certificates.empty()) {
    curl_easy_setopt(handle, CURLOPT_CAINFO, environment_.certificates.c_str());
  }
  curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, &Transfer::on_header);
  curl_easy_setopt(handle, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, &Transfer::on_body);
  curl_easy_setopt(handle, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, &Transfer::on_progress);
  curl_easy_setopt(handle, CURLOPT_XFERINFODATA, &transfer);
  curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 0L);

  const CURLcode code = curl_easy_perform(handle);
  if (transfer.error) std::rethrow_exception(transfer.error);
  if (code == CURLE_ABORTED_BY_CALLBACK) throw Stopped();
  if (is_certificate_problem(code)) {
    throw EnvironmentError(
        fmt::format("{}: {}; install ca-certificates, or name the certificates to trust in "
                    "SSL_CERT_FILE",
                    shown(url), curl_easy_strerror(code)));
  }
  if (code != CURLE_OK) {
    throw ConnectionError(fmt::format("{}: {}", shown(url), curl_easy_strerror(code)));
  }
  transfer.read_status();
  return std::move(transfer.response);
}

Response HttpClient::get(const std::string& url, uint64_t first_byte, Sink& sink) {
  std::string target = url;
  for (int hop = 0; hop <= kMaxRedirects; ++hop) {
    Response response = get_once(target, first_byte, sink);
    const auto location = response.headers.find("location");
    if (response.status / 100 != 3 || location == response.headers.end()) return response;
    target = follow(target, location->second);
  }
  throw DataError(fmt::format("{}: more than {} redirects", shown(url), kMaxRedirects));
}

}  // namespace foregate::hub
