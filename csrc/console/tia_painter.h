/* TIA: the picture, and how a span of a line is painted on it.
 *
 * Most rows of a picture repeat the row above. Such a row is not painted: same_as_row[] names the
 * row that holds its pixels, and tia_complete copies them all once, at the end.
 *
 * On x86-64, AVX2 and AVX-512 versions are chosen at run time. They paint the same bytes.
 *
 *   tia_begin_picture(picture, pixels, sparse)  start a picture on these pixels
 *   tia_paint(t, enabled, begin, end, row)      paint pixels [begin, end) of one row
 *   tia_complete(picture)                       copy the repeated rows */
#ifndef TIA_PAINTER_H
#define TIA_PAINTER_H

#include "console/tia_objects.h"

typedef struct {
    uint8_t *pixels;     /* (210, 160) palette indices; on a GPU the address is a multiple of 8 */
    int32_t begin_clock; /* where the frame drawn on it began, or the window's end */
    uint8_t
        same_as_row[A26_SCREEN_HEIGHT]; /* the row that holds a row's pixels: itself or one above */
    uint8_t sparse;                     /* only the rows of the 80x80 view are wanted */
} tia_picture_t;

A26_FN void tia_begin_picture(tia_picture_t *picture, uint8_t *pixels, int sparse);
A26_FN void tia_paint(const tia_t *t, uint32_t on, uint32_t begin, uint32_t end, uint8_t *row);
A26_FN void tia_complete(const tia_picture_t *picture);

/* ---- pictures -------------------------------------------------------------------------------- */

/* True if somebody will read this row: in a sparse picture, every second one from row 35 on. */
A26_FN int tia_row_wanted(const tia_picture_t *picture, uint32_t row) {
    return !picture->sparse || (row & 1 && row - A26_VIEW_FIRST_ROW < 2 * A26_VIEW_SIDE);
}

/* Rows that a frame does not reach keep the pixels that they have. */
A26_FN void tia_begin_picture(tia_picture_t *picture, uint8_t *pixels, int sparse) {
    picture->pixels = pixels;
    picture->sparse = (uint8_t)sparse;
    picture->begin_clock = TIA_WINDOW_END_CLOCKS;
    for (uint32_t row = 0; row < A26_SCREEN_HEIGHT; row++) picture->same_as_row[row] = (uint8_t)row;
}

A26_SLOW void tia_complete_words(const tia_picture_t *picture) {
    for (uint32_t row = 1; row < A26_SCREEN_HEIGHT; row++) {
        const uint8_t *from = picture->pixels + picture->same_as_row[row] * A26_SCREEN_WIDTH;
        uint8_t *to = picture->pixels + row * A26_SCREEN_WIDTH;
        if (from != to)
            for (uint32_t p = 0; p < A26_SCREEN_WIDTH; p += 8) A26_COPY_WORD(to + p, from + p);
    }
}

#ifdef A26_X86_VECTORS
__attribute__((target("avx2"))) A26_SLOW void tia_complete_avx2(const tia_picture_t *picture) {
    for (uint32_t row = 1; row < A26_SCREEN_HEIGHT; row++) {
        uint32_t like = picture->same_as_row[row];
        if (like == row) continue;
        const __m256i *from = (const __m256i *)(picture->pixels + like * A26_SCREEN_WIDTH);
        __m256i w0 = _mm256_loadu_si256(from), w1 = _mm256_loadu_si256(from + 1);
        __m256i w2 = _mm256_loadu_si256(from + 2), w3 = _mm256_loadu_si256(from + 3);
        __m256i w4 = _mm256_loadu_si256(from + 4);
        for (; row < A26_SCREEN_HEIGHT && picture->same_as_row[row] == like; row++) {
            __m256i *to = (__m256i *)(picture->pixels + row * A26_SCREEN_WIDTH);
            _mm256_storeu_si256(to, w0);
            _mm256_storeu_si256(to + 1, w1);
            _mm256_storeu_si256(to + 2, w2);
            _mm256_storeu_si256(to + 3, w3);
            _mm256_storeu_si256(to + 4, w4);
        }
        row--;
    }
}
#endif

A26_FN void tia_complete(const tia_picture_t *picture) {
#ifdef A26_X86_VECTORS
    if (__builtin_cpu_supports("avx2"))
        tia_complete_avx2(picture);
    else
#endif
        tia_complete_words(picture);
}

/* ---- painting -------------------------------------------------------------------------------- */

/* Eight bits as eight bytes, 0xFF for each set one. */
A26_FN uint64_t tia_bytes(uint32_t bits) {
    uint64_t spread = (uint64_t)(bits & 255) * 0x0101010101010101ull & 0x8040201008040201ull;
    return ((spread + 0x00406070787C7E7Full) >> 7 & 0x0101010101010101ull) * 255u;
}

/* Fill pixels [begin, end) of a row with one colour. Little-endian: pixel p is byte p of a word. */
A26_FN void tia_fill(uint8_t *row, uint32_t begin, uint32_t end, uint8_t colour) {
    uint64_t fill = colour * 0x0101010101010101ull;
    if (begin == 0 && end == A26_SCREEN_WIDTH) {
        for (uint32_t p = 0; p < A26_SCREEN_WIDTH; p += 8) A26_COPY_WORD(row + p, &fill);
        return;
    }
    for (uint32_t p = begin & ~7u; p < end; p += 8) {
        uint64_t word = fill;
        if (p < begin || p + 8 > end) {
            uint64_t from = p < begin ? ~0ull << 8 * (begin - p) : ~0ull;
            uint64_t upto = p + 8 > end ? ~0ull >> 8 * (p + 8 - end) : ~0ull, there;
            A26_COPY_WORD(&there, row + p);
            word = (fill & from & upto) | (there & ~(from & upto));
        }
        A26_COPY_WORD(row + p, &word);
    }
}

/* Pixels in the colours of player 0, player 1 and the playfield, by priority. */
typedef struct {
    uint64_t one, two, field;
} tia_planes_t;

/* The planes of word k of the masks. `on`: the enabled objects. */
A26_FN tia_planes_t tia_planes(const tia_t *t, uint32_t on, uint32_t k) {
    const uint64_t left = k == 0 ? ~0ull : k == 1 ? 0xFFFFull : 0; /* pixels 0..79 */
    /* Branch-free: which objects are on changes too often to be predicted. */
#define TIA_ON(object) (on & 1u << (object) ? t->mask[object].w[k] : 0)
    tia_planes_t planes;
    uint64_t field = TIA_ON(TIA_PF),
             before = 0ull - (t->ctrlpf >> 2 & 1); /* the playfield, the players */
    uint64_t score = 0ull - (t->ctrlpf >> 1 & 1);  /* in the players' colours */
    score &= ~before | (0ull - (on == 1u << TIA_PF));
    before &= ~score;
    planes.one = (field & score & left) | TIA_ON(TIA_P0) | TIA_ON(TIA_M0);
    planes.two = (field & score & ~left) | TIA_ON(TIA_P1) | TIA_ON(TIA_M1);
    field = (field & ~score) | TIA_ON(TIA_BL);
    planes.one &= ~(field & before);
    planes.two &= ~(planes.one | (field & before));
    planes.field = field & ~(planes.one | planes.two);
#undef TIA_ON
    return planes;
}

/* Paint pixels [begin, end) of a row of 160 bytes. `on`: the enabled objects; their masks are
 * built. */
A26_SLOW void tia_paint_words(const tia_t *t, uint32_t on, uint32_t begin, uint32_t end,
                              uint8_t *row) {
    const uint64_t ones = 0x0101010101010101ull;
    tia_fill(row, begin, end, t->colubk);
    for (uint32_t k = begin >> 6; on && 64 * k < end; k++) {
        tia_planes_t planes = tia_planes(t, on, k);
        uint64_t rest = (planes.one | planes.two | planes.field) & tia_word_span(begin, end, k);
        while (rest) { /* eight pixels that are not all background */
            uint32_t p = a26_lowest_bit(rest) & ~7u;
            uint32_t here = (uint32_t)(rest >> p) & 255u;
            uint64_t b1 = tia_bytes((uint32_t)(planes.one >> p) & here);
            uint64_t b2 = tia_bytes((uint32_t)(planes.two >> p) & here);
            uint64_t b3 = tia_bytes((uint32_t)(planes.field >> p) & here), there;
            uint8_t *out = row + 64 * k + p;
            A26_COPY_WORD(&there, out);
            there &= ~(b1 | b2 | b3);
            there |=
                (t->colup[0] * ones & b1) | (t->colup[1] * ones & b2) | (t->colupf * ones & b3);
            A26_COPY_WORD(out, &there);
            rest &= ~(255ull << p);
        }
    }
}

#ifdef A26_X86_VECTORS
/* 32 pixels at a time. */
__attribute__((target("avx2"))) A26_SLOW void tia_paint_avx2(const tia_t *t, uint32_t on,
                                                             uint32_t begin, uint32_t end,
                                                             uint8_t *row) {
    const __m256i bit = _mm256_set1_epi64x((int64_t)0x8040201008040201ull);
    const __m256i spread =
        _mm256_set_epi64x(0x0303030303030303, 0x0202020202020202, 0x0101010101010101, 0);
    const __m256i background = _mm256_set1_epi8((char)t->colubk);
#define TIA_BYTES_32(bits) \
    _mm256_cmpeq_epi8( \
        _mm256_and_si256(_mm256_shuffle_epi8(_mm256_set1_epi32((int)(uint32_t)(bits)), spread), \
                         bit), \
        bit)
    for (uint32_t k = begin >> 6; 64 * k < end; k++) {
        tia_planes_t planes = tia_planes(t, on, k);
        uint64_t span = tia_word_span(begin, end, k);
        for (uint32_t p = 0; p < 64; p += 32, span >>= 32) {
            uint32_t here = (uint32_t)span;
            if (!here) continue;
            uint8_t *out = row + 64 * k + p;
            __m256i v = background;
            if ((uint32_t)((planes.one | planes.two | planes.field) >> p)) {
                v = _mm256_blendv_epi8(v, _mm256_set1_epi8((char)t->colup[0]),
                                       TIA_BYTES_32(planes.one >> p));
                v = _mm256_blendv_epi8(v, _mm256_set1_epi8((char)t->colup[1]),
                                       TIA_BYTES_32(planes.two >> p));
                v = _mm256_blendv_epi8(v, _mm256_set1_epi8((char)t->colupf),
                                       TIA_BYTES_32(planes.field >> p));
            }
            if (here != 0xFFFFFFFFu)
                v = _mm256_blendv_epi8(_mm256_loadu_si256((const __m256i *)out), v,
                                       TIA_BYTES_32(here));
            _mm256_storeu_si256((__m256i *)out, v);
        }
    }
#undef TIA_BYTES_32
}

/* 64 pixels at a time, from the planes (tia_planes) of the whole line. */
__attribute__((target("avx512bw,avx512vl"))) A26_SLOW void tia_paint_avx512(
    const tia_t *t, uint32_t on, uint32_t begin, uint32_t end, uint8_t *row) {
    const __m256i left = _mm256_set_epi64x(0, 0, 0xFFFF, -1);
#define TIA_ON(object) \
    _mm256_maskz_loadu_epi64((__mmask8)((0u - (on >> (object) & 1)) & 7), t->mask[object].w)
#define TIA_ALL_IF(condition) _mm256_set1_epi64x(-(int64_t)(condition))
    const int priority = t->ctrlpf >> 2 & 1,
              score = t->ctrlpf >> 1 & 1 & (!priority | (on == 1u << TIA_PF));
    const __m256i coloured = TIA_ALL_IF(score), before = TIA_ALL_IF(priority & !score);
    __m256i field = TIA_ON(TIA_PF), players = _mm256_and_si256(field, coloured);
    __m256i one = _mm256_or_si256(_mm256_and_si256(players, left),
                                  _mm256_or_si256(TIA_ON(TIA_P0), TIA_ON(TIA_M0)));
    __m256i two = _mm256_or_si256(_mm256_andnot_si256(left, players),
                                  _mm256_or_si256(TIA_ON(TIA_P1), TIA_ON(TIA_M1)));
    field = _mm256_or_si256(_mm256_andnot_si256(coloured, field), TIA_ON(TIA_BL));
    players = _mm256_and_si256(field, before);
    one = _mm256_andnot_si256(players, one);
    two = _mm256_andnot_si256(_mm256_or_si256(one, players), two);
    field = _mm256_andnot_si256(_mm256_or_si256(one, two), field);
#undef TIA_ALL_IF
#undef TIA_ON
    uint64_t planes[3][4];
    _mm256_storeu_si256((__m256i *)planes[0], one);
    _mm256_storeu_si256((__m256i *)planes[1], two);
    _mm256_storeu_si256((__m256i *)planes[2], field);
    const __m512i background = _mm512_set1_epi8((char)t->colubk),
                  colour_1 = _mm512_set1_epi8((char)t->colup[0]);
    const __m512i colour_2 = _mm512_set1_epi8((char)t->colup[1]),
                  colour_3 = _mm512_set1_epi8((char)t->colupf);
    for (uint32_t k = begin >> 6; 64 * k < end; k++) {
        __m512i v = _mm512_mask_mov_epi8(background, planes[0][k], colour_1);
        v = _mm512_mask_mov_epi8(v, planes[1][k], colour_2);
        v = _mm512_mask_mov_epi8(v, planes[2][k], colour_3);
        _mm512_mask_storeu_epi8(row + 64 * k, tia_word_span(begin, end, k), v);
    }
}
#endif

A26_FN void tia_paint(const tia_t *t, uint32_t on, uint32_t begin, uint32_t end, uint8_t *row) {
#ifdef A26_X86_VECTORS
    if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
        tia_paint_avx512(t, on, begin, end, row);
    else if (__builtin_cpu_supports("avx2"))
        tia_paint_avx2(t, on, begin, end, row);
    else
#endif
        tia_paint_words(t, on, begin, end, row);
}

#endif
